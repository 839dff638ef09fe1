"""Measuring a checkpoint: metrics, intervals, tables."""
