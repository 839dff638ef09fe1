"""Rules about one document. A rule is a plain function: it returns None to keep, or a `Drop` that says why not."""
