"""The audit trail: append, verify, history. What is written here is never changed."""

from harness.ledger.environment import Environment, environment
from harness.ledger.events import Event, Ledger
from harness.ledger.history import attempts, open_attempts, run_name
from harness.ledger.registration import (
    Comparison,
    Pins,
    Registration,
    canonical,
    compare,
    find_registration,
    pins,
    register,
    seeds,
)

__all__ = [
    "Comparison",
    "Environment",
    "Event",
    "Ledger",
    "Pins",
    "Registration",
    "attempts",
    "canonical",
    "compare",
    "environment",
    "find_registration",
    "open_attempts",
    "pins",
    "register",
    "run_name",
    "seeds",
]
