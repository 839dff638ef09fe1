"""The list of those who asked to be left out."""

import pytest

from pipeline.config import as_dict, load, settings
from pipeline.opt_outs import OptOuts
from schemas.checks.card import ADDED
from schemas.errors import UserError
from tests.pipeline.runs import ROOT

LIST = OptOuts(
    """# asked on 3 May
example.org
photos.example.net/  # the whole host
https://example.com/~ann/
https://example.com/file.php?user=7
müller.example
xn--caf-dma.example
"""
)


@pytest.mark.parametrize(
    "url, listed",
    [
        ("https://example.org/a.jpg", True),
        ("http://cdn.EXAMPLE.org./a.jpg", True),
        ("https://notexample.org/a.jpg", False),
        ("https://example.net/a.jpg", False),
        ("https://photos.example.net:8080/a.jpg", True),
        ("http://example.com/~ann/a.jpg", True),
        ("http://www.example.com/~ann/a.jpg", False),
        ("http://example.com/~bob/a.jpg", False),
        ("http://example.com/file.php?user=7&n=1", True),
        ("http://example.com/file.php?user=8", False),
        ("http://[::1", False),
        ("http://example.com/%7Eann/a.jpg", True),
        ("http://example.com/b/../~ann/a.jpg", True),
        ("http://example.com/~ann/../~bob/a.jpg", False),
        ("http://example.com/b/%2E%2e/~ann/a.jpg", True),
        ("http://example.com/file.php?%75ser=7", True),
        ("http://example.com/%ZZ/~ann/", False),
        ("https://xn--mller-kva.example/a.jpg", True),
        ("https://Müller.example/a.jpg", True),
        ("https://www.café.example/a.jpg", True),
        ("https://example。org/a.jpg", True),
        ("https://ｅxample.org/a.jpg", False),  # it is not requested either
    ],
)
def test_who_is_listed(url, listed):
    assert (url in LIST) is listed


def test_a_line_that_is_neither_host_nor_address_is_refused():
    with pytest.raises(UserError, match="list.txt:2: 'two words'"):
        OptOuts("example.org\ntwo words\n", "list.txt")


def test_the_list_is_part_of_the_configuration_by_its_content(tmp_path):
    text = (ROOT / "configs/demo.yaml").read_text()
    (tmp_path / "config.yaml").write_text(f"{text}\nweb: {{opt_outs: {tmp_path}/list.txt}}\n")
    config = load(str(tmp_path / "config.yaml"))
    with pytest.raises(UserError, match="web.opt_outs: .*list.txt cannot be read"):
        as_dict(config)
    found = []
    for content in ("example.org\n", "example.com\n"):
        (tmp_path / "list.txt").write_text(content)
        found.append(as_dict(config)["opt_outs"])
    assert found[0] != found[1]
    assert as_dict(config).keys() - settings(config).keys() <= set(ADDED)  # else the folder is not valid


@pytest.mark.parametrize(
    "given, words",
    [
        ("per_host: 0", "web.per_host must be at least 1"),
        ("delay: 61", "web.delay is a time from 0"),
        ('contact: "a\\nb"', "web.contact must be at most 200 printable"),
        ("rules_unreachable: maybe", "web.rules_unreachable must be one of refuse, allow"),
    ],
)
def test_impossible_settings_are_refused(tmp_path, given, words):
    (tmp_path / "config.yaml").write_text(f"{(ROOT / 'configs/demo.yaml').read_text()}\nweb: {{{given}}}\n")
    with pytest.raises(UserError, match=words):
        load(str(tmp_path / "config.yaml"))
