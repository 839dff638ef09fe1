"""The validator's report as text, JSON, SARIF 2.1.0 or JUnit XML."""

from __future__ import annotations

import collections
import json
import urllib.parse
import xml.etree.ElementTree as xml
from collections.abc import Callable, Mapping
from typing import Any

from schemas.defects import Defect
from schemas.validate import Report


def as_text(report: Report, folder: str) -> str:
    """The report as text: a line for each defect, and one with the result."""
    verdict = f"{len(report.defects)} defects" if report.defects else "valid"
    not_checked = f"; not checked: {'; '.join(report.unchecked)}" if report.unchecked else ""
    return "\n".join([*map(str, report.defects), f"{folder}: {verdict}{not_checked}"])


def as_json(report: Report, folder: str) -> str:
    """The report as one JSON object."""
    return json.dumps(
        {
            "ok": not report.defects,
            "folder": folder,
            "defects": [vars(d) for d in report.defects],
            "checked": report.checked,
            "unchecked": report.unchecked,
        },
        indent=2,
    )


def as_sarif(report: Report, folder: str) -> str:
    """The report as SARIF 2.1.0: a result for each defect, a notification for what was not checked.

    Files are relative to the folder.
    """
    kinds = sorted({defect.kind for defect in report.defects})
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "leafinstruct", "rules": [{"id": kind} for kind in kinds]}},
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": f"not checked: {what}"}} for what in report.unchecked
                ],
            }
        ],
        "results": [_result(defect, kinds.index(defect.kind)) for defect in report.defects],
    }
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=2)


def as_junit(report: Report, folder: str) -> str:
    """The report as JUnit XML.

    A test case for each file that was read or has a defect, and a skipped one for what was not checked.
    """
    defects: dict[str, list[Defect]] = collections.defaultdict(list)
    for defect in report.defects:
        defects[defect.file].append(defect)
    names = sorted({*report.checked, *defects})
    suite = xml.Element(
        "testsuite",
        name=f"leafinstruct validate {folder}",
        tests=str(len(names) + len(report.unchecked)),
        failures=str(len(defects)),
        skipped=str(len(report.unchecked)),
        errors="0",
    )
    for name in names:
        case = xml.SubElement(suite, "testcase", classname="leafinstruct", name=name or "the folder")
        if name in defects:
            failure = xml.SubElement(case, "failure", message=str(defects[name][0]), type=defects[name][0].kind)
            failure.text = "\n".join(map(str, defects[name]))
    for what in report.unchecked:
        xml.SubElement(xml.SubElement(suite, "testcase", classname="leafinstruct", name=what), "skipped")
    return xml.tostring(suite, encoding="unicode", xml_declaration=True)


FORMATS: Mapping[str, Callable[[Report, str], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "junit": as_junit,
}


def _result(defect: Defect, rule: int) -> dict[str, Any]:
    place = "/".join(part.strip("/") for part in (defect.shard, defect.key, defect.pointer) if part)
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": urllib.parse.quote(defect.file) or "."}}
    }
    if place:
        location["logicalLocations"] = [{"fullyQualifiedName": place}]
    return {
        "ruleId": defect.kind,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": defect.message},
        "locations": [location],
    }
