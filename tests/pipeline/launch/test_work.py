"""Work folders in which a run would delete what is not its own, or spoil its own dataset."""

import pytest

from pipeline.cli import main
from pipeline.launch.work import check
from pipeline.storage.files import write_bytes
from schemas.errors import UserError
from tests.pipeline import disk  # noqa: F401  (disk://)
from tests.pipeline.runs import demo_config


@pytest.mark.parametrize("name", ["counts", "failures", "dropped", "groups", "llm"])
def test_a_folder_of_another_program_is_not_deleted(tmp_path, capsys, name):
    theirs = tmp_path / "data" / name / "weights.bin"
    write_bytes(str(theirs), b"-")
    arguments = ["--output", f"{tmp_path}/out", "--work", f"{tmp_path}/data", "--llm-url", "http://127.0.0.1:9/v1"]
    assert main(["build", "--config", demo_config(tmp_path), *arguments]) == 2
    said = f"data/{name} is not of an earlier run, and this one would delete it: choose another --work. Nothing was"
    assert said in capsys.readouterr().err
    assert theirs.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("root", ["{}", "disk:/{}"])
def test_what_a_run_left_in_its_work_folder_does_not_keep_the_next_from_it(tmp_path, root):
    work = f"{root.format(tmp_path)}/work"
    for name in ("images/a.pack", ".lease", "selftest.json"):  # and what commands leave that are not a run
        write_bytes(f"{work}/{name}", b"-")
    check("out", work)
    write_bytes(f"{work}/failures/a/b.json", b"-")
    with pytest.raises(UserError, match="work/failures is not of an earlier run"):
        check("out", work)
    write_bytes(f"{work}/job.json", b"-")
    check("out", work)


@pytest.mark.parametrize("below", ["", "/.", "/work", "/shards/.work"])
def test_a_work_folder_that_would_be_a_part_of_the_dataset_is_refused(tmp_path, below):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for output, work in (("out", f"out{below}"), ("link", f"out{below}"), ("out", f"link{below}")):
        with pytest.raises(
            UserError, match=r"in the --output folder, where the only work folder can be .*/\.work: leave"
        ):
            check(f"{tmp_path}/{output}", f"{tmp_path}/{work}")
        check(f"{tmp_path}/{output}", f"{tmp_path}/{output}/.work")
        check(f"{tmp_path}/{output}", f"{tmp_path}/{output}.work")


@pytest.mark.parametrize("work", ["", "/", "//"])
def test_a_work_folder_without_a_name_is_refused(tmp_path, capsys, work):
    assert main(["build", "--config", demo_config(tmp_path), "--output", f"{tmp_path}/out", "--work", work]) == 2
    assert "--work must name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--output", "--work"])
def test_a_folder_whose_name_is_not_utf_8_is_refused(tmp_path, capsys, option):
    arguments = ["--output", f"{tmp_path}/out", option, f"{tmp_path}/caf\udce9", "--llm-url", "http://127.0.0.1:9/v1"]
    assert main(["build", "--config", demo_config(tmp_path), *arguments]) == 2
    assert r"/caf\xe9 is not UTF-8; rename it" in capsys.readouterr().err
