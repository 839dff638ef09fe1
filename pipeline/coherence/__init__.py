"""How well images match their text: open_clip, its scores, and their thresholds."""

SCORING_VERSION = 3
"""Part of every kept score's key. Raise it when the same images and text may score otherwise (`scorer.py`)."""
