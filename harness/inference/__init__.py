"""Inference: measurements to a decision. NumPy and SciPy only."""

from harness.inference.outcome import decide
from harness.inference.replication import disagreements

__all__ = ["decide", "disagreements"]
