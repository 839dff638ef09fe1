"""The pipeline: the only package that imports Beam."""

__version__ = "0.2.dev0"
