"""A small open_clip model: two packaged towers, and two projections that were trained for this project."""
