"""Regression: the baseline that every other imitator is compared with."""
