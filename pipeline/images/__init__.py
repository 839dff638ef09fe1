"""Images: fetched, decoded to one normal form, and stored by hash."""
