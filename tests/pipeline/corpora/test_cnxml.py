from __future__ import annotations

import pytest

from schemas.records import Image, Text

MODULE = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML" id="m1">
<title>Motion</title>
<metadata xmlns:md="http://cnx.rice.edu/mdml"><md:title>Motion</md:title><md:abstract>Hidden.</md:abstract></metadata>
<content>
<para id="p">Speed is <emphasis>distance</emphasis> over
 <m:math><m:mi>t</m:mi></m:math>.<!-- hidden --></para>
<section id="s"><title>Graphs</title>
<list id="l"><item>One.</item><item>Two.</item></list>
<figure id="f"><media id="x" alt=" A  line."><image mime-type="image/jpeg" src="../../media/line.jpg"/>
<image for="pdf" src="../../media/line-print.jpg"/></media><caption>Distance against <term>time</term>.</caption></figure>
<para id="q">Before <media alt="b"><image src="../../media/b.png"/></media> after.</para>
<table summary="t"><tgroup cols="2"><tbody><row><entry>a</entry><entry>b</entry></row></tbody></tgroup></table>
</section>
</content></document>"""


@pytest.fixture
def read(tree, read_all):
    def read(content):
        [found] = read_all("cnxml", tree(**{"modules/m1/index.cnxml": content}))
        return found

    return read


def test_a_module_in_reading_order(read, tmp_path):
    document = read(MODULE)
    assert document.title == "Motion"
    assert document.segments == (
        Text("## Motion"),
        Text("Speed is distance over t."),
        Text("## Graphs"),
        Text("- One."),
        Text("- Two."),
        Image(f"{tmp_path}/media/line.jpg", "A line.", "Distance against time."),
        Text("Before"),
        Image(f"{tmp_path}/media/b.png", "b"),
        Text("after."),
        Text("| a | b"),
    )


@pytest.mark.parametrize("content", ["", "<document>", "<html/>", b"\xff\xfe\x00", MODULE.replace("</content>", "")])
def test_what_is_no_module_is_a_fault(read, content):
    assert read(content).error == "bad_record"


def test_entities_are_not_expanded(read, tmp_path):
    (tmp_path / "secret").write_text("the secret")
    document = read(
        f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        '<document xmlns="http://cnx.rice.edu/cnxml"><content><para>A &x; b.</para></content></document>'
    )
    assert not any("secret" in text for text in document.texts)
