"""Reads the part of YAML that this project writes, and refuses the rest, which a hostile file could misuse."""

from __future__ import annotations

from typing import Any

import yaml


def load(text: str) -> Any:
    """The data of a YAML text.

    Raises ValueError if it is not YAML, has a name twice, or has anchors and aliases, with which a few bytes can stand
    for gigabytes.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (RecursionError, OverflowError, AttributeError, TypeError, LookupError) as error:
        raise ValueError(f"no YAML that this project writes: {error}") from error


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):  # a node's anchor, or the one that an alias refers to
            raise yaml.YAMLError("has an anchor or an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            raise yaml.YAMLError("a name is given twice")
        return found
