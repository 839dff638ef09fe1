from __future__ import annotations

import pytest

from schemas.records import Image, Text


@pytest.fixture
def read(tree, read_all):
    def read(page):
        [document] = read_all("rst", tree(**{"docs/page.rst": page}))
        return document

    return read


def test_a_page_in_reading_order(read, tmp_path):
    document = read("""
.. _doc_saws:

Sharpening saws
===============

Use a *fine* file, see :ref:`the files <doc_files>` and :kbd:`Ctrl`.

Steps
-----

- Hold the saw.
- Count the ``teeth``.

.. figure:: img/saw.png
   :alt: A saw

   The saw in the vice.

   It is an old one.

.. image:: /img/file.png

.. code-block:: python

   file(saw)

.. note::

   Wear gloves.

.. comment that nobody reads
""")
    assert document.title == "Sharpening saws"
    assert document.segments == (
        Text("## Sharpening saws"),
        Text("Use a fine file, see the files and Ctrl."),
        Text("## Steps"),
        Text("- Hold the saw."),
        Text("- Count the teeth."),
        Image(f"{tmp_path}/docs/img/saw.png", "A saw", "The saw in the vice."),
        Text("It is an old one."),
        Image(f"{tmp_path}/img/file.png"),
        Text("```\nfile(saw)\n```"),
        Text("Wear gloves."),
    )


def test_the_content_of_directives_that_docutils_does_not_know_is_kept(read, tmp_path):
    document = read("""
.. tabs::
   :name: x

   Press the button.

   .. image:: a.png

.. toctree::
   :maxdepth: 2

   first
   second
""")
    assert document.segments == (Text("Press the button."), Image(f"{tmp_path}/docs/a.png"))


def test_substitutions_stand_where_they_are_used(read, tmp_path):
    document = read("Press |image0| now.\n\n.. |image0| image:: b.png\n")
    assert document.segments == (Text("Press now."), Image(f"{tmp_path}/docs/b.png"))


def test_a_page_cannot_read_other_files(read, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "secret.txt").write_text("the secret")
    document = read(
        ".. include:: secret.txt\n\n.. csv-table::\n   :file: secret.txt\n\n.. raw:: html\n   :file: secret.txt\n\nEnd.\n"
    )
    assert not any("the secret" in text for text in document.texts)
    assert document.texts[-1] == "End."


def test_a_malformed_page_keeps_what_can_be_read(read):
    document = read("Title\n==\n\nText *unclosed\n\n    indented\n  less\n")
    assert "Title" in document.texts[0] and any("indented" in text for text in document.texts)


def test_a_role_of_one_page_is_unknown_to_the_next(read):
    before = read("See :ref:`the files <doc>`.\n").texts
    assert read(".. role:: ref(code)\n.. default-role:: ref\n\nSee :ref:`a`.\n").texts
    assert read("See :ref:`the files <doc>`.\n").texts == before == ("See the files.",)
