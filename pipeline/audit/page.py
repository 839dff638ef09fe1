"""The page of an audit: each document with two buttons and a reason; the answers are saved as a file by the browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from markupsafe import Markup

from pipeline.audit.sample import Item
from pipeline.report.render import HERE, render

REASONS = {
    "images": "its images do not belong to its text",
    "text": "its text is broken, incomplete or in disorder",
    "no_lesson": "it teaches nothing: an advert, a menu, a notice, a list",
    "pictures": "its images are useless: unreadable, ornaments, logos",
    "harm": "it is private, offensive or dangerous",
    "other": "another reason",
}
"""Why a document is not acceptable: one of these."""


def page(items: Sequence[Item], dataset: str) -> str:
    """The page as HTML. dataset: the sha256 of the manifest, which the answers name.

    Only this page's own script can run in it, which the policy names by its hash: no document can bring one.
    """
    script = (HERE / "audit.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "audit.html.jinja", items=items, dataset=dataset, reasons=REASONS, script=Markup(script), digest=digest
    )
