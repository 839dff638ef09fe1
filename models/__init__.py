"""The embedded models: what `make models` builds, and the scripts that trained the committed weights."""

HELD_OUT = ("learnosm", "iot", "qgc", "openstax-introduction-anthropology")
"""The sources of howto.tar that no training script uses; every figure in docs/models.md is measured on them."""
