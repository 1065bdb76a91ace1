"""Inference: measurements to a decision. NumPy and SciPy only."""

from harness.inference.outcome import decide
from harness.inference.power import Spread, greatest_chance, power

__all__ = ["Spread", "decide", "greatest_chance", "power"]
