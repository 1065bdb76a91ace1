"""Pre-registered hypothesis tests for machine-learning experiments."""

__version__ = "0.2.0"
