"""A small open_clip model: two packaged towers, joined by two projections of our own."""
