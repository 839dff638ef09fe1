"""Whether a small generalist learns more from what a stage keeps than from as many documents drawn at random."""
