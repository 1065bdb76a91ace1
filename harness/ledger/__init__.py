"""The audit trail: append, verify, history. What is written here is never changed."""

from harness.ledger.attempt import (
    Attempted,
    attempts_with,
    closing_on_failure,
    code_deviation,
    one_at_a_time,
    record_look,
    record_verdict,
    start_or_resume,
)
from harness.ledger.bodies import LookBody
from harness.ledger.environment import Environment, environment
from harness.ledger.events import Event, Ledger
from harness.ledger.families import Member, families
from harness.ledger.history import attempts, find_judged, looks, open_attempts, recorded_files, run_name
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
    "Attempted",
    "Comparison",
    "Environment",
    "Event",
    "Ledger",
    "LookBody",
    "Member",
    "Pins",
    "Registration",
    "attempts",
    "attempts_with",
    "canonical",
    "closing_on_failure",
    "code_deviation",
    "compare",
    "environment",
    "families",
    "find_judged",
    "find_registration",
    "looks",
    "one_at_a_time",
    "open_attempts",
    "pins",
    "record_look",
    "record_verdict",
    "recorded_files",
    "register",
    "run_name",
    "seeds",
    "start_or_resume",
]
