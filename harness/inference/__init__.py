"""Inference: measurements to a decision. NumPy and SciPy only."""

from harness.inference.outcome import decide

__all__ = ["decide"]
