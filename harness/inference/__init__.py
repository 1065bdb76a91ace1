"""Inference: measurements to a decision. NumPy and SciPy only."""

from harness.inference.families import holm
from harness.inference.looks import decide, goes_on

__all__ = ["decide", "goes_on", "holm"]
