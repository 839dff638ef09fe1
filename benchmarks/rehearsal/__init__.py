"""A rehearsal of a large run: a made-up corpus of any size, of which is known how every document must end.

`kinds.py` says what is planted and in what shares, `texts.py` and `pictures.py` make it, `corpus.py` writes it;
`build.py` runs the whole pipeline on it in a process of its own, with `scores.py` and `server.py` in place of the
models, and `bucket.py` in place of an object store; `truth.py` compares. `__main__.py` has the command.
"""
