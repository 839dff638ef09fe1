"""The pipeline: the only package that knows Beam."""

__version__ = "0.1.0"
