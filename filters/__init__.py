"""Rules about one document: plain functions that return None (keep) or a `Drop` that says why not."""
