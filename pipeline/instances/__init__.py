"""From a document to an instance: the excerpt, and its assembly."""
