"""How well pictures fit their text: open_clip, its scores, and its thresholds."""
