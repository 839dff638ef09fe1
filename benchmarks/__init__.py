"""Benchmarks, run by hand: each script prints a ratio from one run (`--json` for programs). See docs/benchmarks.md."""
