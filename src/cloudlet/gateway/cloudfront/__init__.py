"""Distributions: their operations, and the edge that serves them."""
