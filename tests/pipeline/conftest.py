"""For the tests of the pipeline: Beam does not do again, for each of some hundred pipelines, what it did before."""

from __future__ import annotations

import types
import weakref
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import statecache
from apache_beam.transforms import userstate


@pytest.fixture(scope="session", autouse=True)
def quick_beam() -> Iterator[None]:
    """Takes a third off the time of a small run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam.transforms.core, "get_signature", _inspected_once())
        patch.setattr(PipelineOptions, "view_as", _viewed_once())
        patch.setattr(userstate, "get_dofn_specs", _specified_once())
        patch.setattr(statecache, "get_deep_size", lambda *_: 1)  # it walks over all modules for each value
        yield


def _inspected_once():
    """Beam inspects the same methods of its transforms anew for each pipeline, a fifth of the time of a small run."""
    inspect = beam.transforms.core.get_signature
    known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def signature(function):
        try:
            found = known.setdefault(getattr(function, "__func__", function), {})
        except TypeError:  # no weak references to it
            return inspect(function)
        kind = isinstance(function, types.MethodType)
        if kind not in found:
            found[kind] = inspect(function)
        return found[kind]

    return signature


def _viewed_once():
    """Beam looks at the options of each pipeline a thousand times, and makes a parser of arguments for each look."""
    view_as, known = PipelineOptions.view_as, {}

    def view(self, kind):
        if (id(self), kind) not in known:
            known[id(self), kind] = self, view_as(self, kind)  # with the options, so that their id stays theirs
        return known[id(self), kind][1]

    return view


def _specified_once():
    """Beam looks for states and timers in all methods of each transform, three times a pipeline and once a bundle."""
    specified, known = userstate.get_dofn_specs, {}

    def specs(dofn):
        key = type(dofn), getattr(getattr(dofn, "_fn", None), "__code__", None)  # of `beam.Map(f)`, f says more
        if key not in known:
            known[key] = specified(dofn)
        return known[key]

    return specs
