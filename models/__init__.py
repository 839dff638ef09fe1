"""Recipes of the embedded models: what `make models` puts together, and the scripts that trained our weights."""
HELD_OUT = ("learnosm", "iot", "qgc", "openstax-introduction-anthropology")
"""Sources of howto.tar that no training script sees; every figure in docs/models.md is measured on them."""
