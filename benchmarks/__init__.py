"""Measurements: both sides in turn in one process, medians and ratios, printed as they are."""
