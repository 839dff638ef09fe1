"""How well images match their text: open_clip, its scores, and their thresholds."""

SCORING_VERSION = 4
"""Part of the key of every cached score. Raise it when the same images and texts may get other scores.

`scorer.py` and `places.py` decide that.
"""

WITNESS_VERSION = 3
"""Part of the key of every score that the text in images has a part in. Raise it with a change to `words.py`."""
