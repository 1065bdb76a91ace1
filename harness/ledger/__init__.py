"""The audit trail: append, verify, history. What is written here is never changed."""

from harness.ledger.amendments import Amendment, amend, amendments, in_force, latest, registration_in, registration_of
from harness.ledger.ancestry import Ancestry
from harness.ledger.anchors import AnchorCheck, sign, stamp, verify_anchors
from harness.ledger.attempt import (
    Attempted,
    attempts_with,
    changes,
    closing_on_failure,
    code_deviation,
    nobody_writing,
    one_at_a_time,
    record_look,
    record_verdict,
    refuse_judged,
    start_or_resume,
)
from harness.ledger.bodies import LookBody
from harness.ledger.carried import Hindrance, hindrances, left_out
from harness.ledger.differing import CodeDifferences, code_differences, meaningful
from harness.ledger.environment import Environment, environment
from harness.ledger.events import Event, Ledger
from harness.ledger.families import Member, families
from harness.ledger.history import (
    attempts,
    deviating,
    find_attempt,
    find_judged,
    looks,
    open_attempts,
    recorded_files,
    run_name,
)
from harness.ledger.registration import (
    Comparison,
    Pins,
    Registration,
    canonical,
    compare,
    differences,
    find_registration,
    pins,
    register,
    seeds,
)
from harness.ledger.second import Surroundings, refuse_second
from harness.ledger.timeline import Moment, timeline

__all__ = [
    "Amendment",
    "Ancestry",
    "AnchorCheck",
    "Attempted",
    "CodeDifferences",
    "Comparison",
    "Environment",
    "Event",
    "Hindrance",
    "Ledger",
    "LookBody",
    "Member",
    "Moment",
    "Pins",
    "Registration",
    "Surroundings",
    "amend",
    "amendments",
    "attempts",
    "attempts_with",
    "canonical",
    "changes",
    "closing_on_failure",
    "code_deviation",
    "code_differences",
    "compare",
    "deviating",
    "differences",
    "environment",
    "families",
    "find_attempt",
    "find_judged",
    "find_registration",
    "hindrances",
    "in_force",
    "latest",
    "left_out",
    "looks",
    "meaningful",
    "nobody_writing",
    "one_at_a_time",
    "open_attempts",
    "pins",
    "record_look",
    "record_verdict",
    "recorded_files",
    "refuse_judged",
    "refuse_second",
    "register",
    "registration_in",
    "registration_of",
    "run_name",
    "seeds",
    "sign",
    "stamp",
    "start_or_resume",
    "timeline",
    "verify_anchors",
]
