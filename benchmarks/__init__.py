"""Figures, measured by hand: each script prints a ratio from one run (`--json` for machines). See docs/benchmarks.md."""
