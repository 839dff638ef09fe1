"""What becomes of a document: an excerpt of it, and the instance made of that."""
