"""The example corpus, as package data: `corpus/` in this folder; README.md describes it."""
