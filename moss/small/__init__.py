"""A generalist small enough to train from scratch on a CPU: its VQ tokenizer, its vocabulary, its model."""

HELD_OUT = ("learnosm", "iot", "qgc", "openstax-introduction-anthropology")
"""The sources of howto.tar that nothing here is trained on."""
