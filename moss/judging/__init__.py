"""Judging answers: scores and preferences of a vision model, controls, metrics without a judge, the report."""
