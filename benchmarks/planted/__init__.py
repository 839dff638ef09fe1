"""Real documents and copies of them with every kind of damage, through the whole pipeline: what gets through?

`kinds.py` says what is planted and what should become of it; `texts.py`, `sentences.py` and `pictures.py` do the damage
that `pipeline.coherence.damage` does not; `corpus.py` draws the documents and writes the corpus; `figures.py` counts in
the ledger. `__main__.py` has the command.
"""
