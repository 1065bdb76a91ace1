"""Distributions in plain floats: what criteria, power and sensitivity calculate with."""
