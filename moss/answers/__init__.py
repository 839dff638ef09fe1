"""Answers on disk in a form that every system can write, and importers of other forms."""
