"""Finds connected components from pairs, as a Beam combiner, and the first node of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam

Link = tuple[Any, Any, float, Any]
"""(node, an earlier node, their similarity, the earlier node's name)."""


class Components(beam.CombineFn):
    """Links -> the first node of each node's component, for all nodes but the firsts.

    The result is {node: (the first node, its highest similarity to a linked node, the first's name)}. `order` gives the
    sort key of nodes. The result does not depend on the order of the links. Memory grows with the number of links,
    which only near-duplicates have.
    """

    def __init__(self, order: Callable[[Any], Any]):
        super().__init__()  # type: ignore[no-untyped-call]
        self.order = order

    def create_accumulator(self) -> set[Link]:
        return set()

    def add_input(self, links: set[Link], link: Link) -> set[Link]:
        links.add(link)
        return links

    def merge_accumulators(self, parts: Iterable[set[Link]]) -> set[Link]:
        return set().union(*parts)

    def extract_output(self, links: set[Link]) -> dict[Any, tuple[Any, float, Any]]:
        parents: dict[Any, Any] = {}
        names: dict[Any, Any] = {}
        best: dict[Any, float] = {}

        def root(node: Any) -> Any:
            while (parent := parents.get(node, node)) != node:
                parents[node] = node = parents.get(parent, parent)  # path halving: later searches are shorter
            return node

        for node, before, similarity, name in links:
            names[before] = name
            for one in (node, before):
                best[one] = max(similarity, best.get(one, 0.0))
            low, high = sorted((root(node), root(before)), key=self.order)
            parents[high] = low
        return {node: (first, best[node], names[first]) for node in best if (first := root(node)) != node}
