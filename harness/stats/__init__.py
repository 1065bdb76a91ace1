"""Distributions in plain floats, for criteria, power and sensitivity analyses."""
