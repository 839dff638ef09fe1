"""Reads a YAML file into frozen dataclasses; errors about unknown keys and wrong types name the file and the key."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
import pathlib
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import yaml

from schemas.errors import UserError, one_line

MOST_VALUES = 100_000
"""The most values of a file, those that an alias repeats counted each time."""

T = TypeVar("T")
Number = Callable[[Any, str, str], float]

_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def read(path: str, example: str = "") -> Any:
    """The content of a YAML file; `example` is a file that the message suggests for --config. Raises UserError."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        absent = isinstance(error, FileNotFoundError | IsADirectoryError)
        advice = f"; give an existing file to --config, such as {example}" if example and absent else ""
        raise UserError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}{advice}"
        ) from error
    return parse(text, path)


def parse(text: str, path: str) -> Any:
    """The content of the YAML file `path`, given its text. Raises UserError.

    >>> parse("size: 12", "demo.yaml")
    {'size': 12}
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except _RefusedError as error:
        raise UserError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (RecursionError, AttributeError, LookupError) as error:  # deep lists; PyYAML's: `!!timestamp x`, `!!bool x`
        raise UserError(f"{path} has a value that cannot be read: {one_line(error, 80)}") from error
    except ValueError as error:  # 2024-13-45 looks like a date; a number may have too many digits
        raise UserError(
            f"{path} has a value that cannot be read: {error}; put it in quotes if it is a string"
        ) from error


class _RefusedError(Exception):
    """A mapping has a key twice, or aliases stand for too many values."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which PyYAML takes the last; a key beside `<<` may be in what that adds.

    It refuses more than MOST_VALUES values too: with aliases of aliases, a few lines stand for any number of them.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values: dict[int, int] = {}

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        found = super().compose_sequence_node(anchor)
        self._count(found, found.value)
        return found

    def _count(self, node: yaml.Node, inner: Iterable[yaml.Node]) -> None:
        count = 1 + sum(self._values.get(id(one), 1) for one in inner)
        if count > MOST_VALUES:
            raise _RefusedError(f"line {node.start_mark.line + 1} stands for more than {MOST_VALUES:,} values")
        self._values[id(node)] = count

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        found = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in found.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if before := lines.get((key.tag, key.value)):
                raise _RefusedError(f"{one_line(key.value, 80)} is given twice, in the lines {before} and {line}")
            lines[key.tag, key.value] = line
        self._count(found, itertools.chain(*found.value))
        return found


def number(value: Any, path: str, key: str) -> float:
    """A finite number; `path` and `key` are for the message. Raises UserError.

    >>> number(3, "demo.yaml", "size")
    3.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"{path}: {key} must be {_NAMES[float]}, not {value!r}")
    try:
        found = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        found = math.inf
    if not math.isfinite(found):
        raise UserError(f"{path}: {key} must be a finite number, not {found}")
    return found


def build(kind: type[T], value: Any, path: str, key: str = "", number: Number = number) -> T:
    """`value`, which comes from a YAML file, as `kind`.

    kind: a dataclass, a tuple of any length, `dict[str, str]`, or a plain type; a field of a dataclass may also be a
    choice (`Literal`) or optional. Fields and items are converted in the same way. path, key: where the value is, for
    the message. number: the function that reads a float. Raises UserError.

    >>> build(tuple[int, ...], [1, 2], "demo.yaml", "sizes")
    (1, 2)
    """
    built: T = _build(kind, value, path, key, number)
    return built


def _build(kind: Any, value: Any, path: str, key: str, number: Number) -> Any:
    if dataclasses.is_dataclass(kind):
        return _section(kind, value, path, key, number)
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value is False and "no" in of:
            value = "no"  # YAML reads a bare no as false
        if value not in of:
            raise UserError(f"{path}: {key} must be one of {', '.join(of)}, not {value!r}")
        return value
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(v, str) for pair in value.items() for v in pair):
            raise UserError(f"{path}: {key} must map names to strings")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{path}: {key or 'the file'} must be a list")
        return tuple(_build(of[0], v, path, f"{key}[{i}]", number) for i, v in enumerate(value))
    if origin in (types.UnionType, typing.Union):  # an optional Literal is the second
        return None if value is None else _build(of[0], value, path, key, number)
    if kind is float:
        return number(value, path, key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{path}: {key} must be {_NAMES[kind]}, not {value!r}")
    return value


def _section(kind: Any, value: Any, path: str, key: str, number: Number) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key or 'the file'} must be a mapping of keys to values")
    hints = typing.get_type_hints(kind)
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; the keys are {', '.join(hints)}"
            raise UserError(f"{path}: unknown key {prefix}{name}{hint}")
    for field in dataclasses.fields(kind):
        if field.name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{path}: {prefix}{field.name} is missing")
    return kind(**{name: _build(hints[name], v, path, prefix + name, number) for name, v in value.items()})
