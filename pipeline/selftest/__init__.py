"""Whether the filter tells documents from copies with planted damage: counts, intervals, a verdict and a page."""
