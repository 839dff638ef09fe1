"""Checks a JSON value against its JSON Schema, in a time that a hostile value cannot increase."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from schemas.defects import pointer_of
from schemas.jsonschema import INSTANCE, MANIFEST, RUN

ALL_BELOW = 64 << 10
"""The size of JSON in bytes up to which every error is listed. Listing takes about 0.1 ms for each error, and
`[[],[],...]` has one for each of its items."""

_INSTANCE = jsonschema_rs.validator_for(INSTANCE)
_MANIFEST = jsonschema_rs.validator_for(MANIFEST)
_RUN = jsonschema_rs.validator_for(RUN)


def instance_faults(value: Any, size: int) -> list[tuple[str, str]]:
    """The errors in an instance whose JSON has `size` bytes, as (message, JSON pointer).

    Only the first one if it is large. Empty if the value fits `instance.schema.json`.
    """
    return _faults(_INSTANCE, value, size)


def manifest_faults(value: Any, size: int) -> list[tuple[str, str]]:
    """The errors in a manifest, as `instance_faults` returns them."""
    return _faults(_MANIFEST, value, size)


def run_faults(value: Any, size: int) -> list[tuple[str, str]]:
    """The errors in run.json, as `instance_faults` returns them."""
    return _faults(_RUN, value, size)


def _faults(validator: jsonschema_rs.Validator, value: Any, size: int) -> list[tuple[str, str]]:
    if validator.is_valid(value):
        return []
    if size <= ALL_BELOW:
        return [(e.message, pointer_of(e.instance_path)) for e in validator.iter_errors(value)]
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return [(error.message, pointer_of(error.instance_path))]
    raise AssertionError("is_valid and validate disagree")
