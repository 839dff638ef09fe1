"""The corpus of the demo, as data: `corpus/` beside this file; README.md says what is in it."""
