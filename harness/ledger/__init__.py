"""The audit trail: append, verify, history. What is written here is never changed."""

from harness.ledger.amendments import (
    Amendment,
    Version,
    amend,
    find_in_force,
    find_latest,
    find_registration_of,
    list_amendments,
)
from harness.ledger.ancestry import Ancestry
from harness.ledger.anchors import AnchorCheck, sign, stamp, verify_anchors
from harness.ledger.attempt import (
    OpenAttempt,
    close_on_failure,
    list_attempts_with,
    list_code_deviations,
    list_rerun_changes,
    list_resumption_changes,
    lock_hypothesis,
    lock_working_files,
    record_look,
    record_verdict,
    refuse_judged,
    start_or_resume,
)
from harness.ledger.bodies import LookBody
from harness.ledger.carried import Hindrance, find_hindrances, find_left_out
from harness.ledger.covered import describe_cover
from harness.ledger.covered import list_before as list_anchors_before
from harness.ledger.differing import CodeDifferences, compare_code, keep_meaningful
from harness.ledger.environment import Environment, describe_environment
from harness.ledger.event import StoredFixing, read_fixing
from harness.ledger.events import Event, Ledger
from harness.ledger.families import Member, list_families
from harness.ledger.index import Entry, LedgerIndex, StartedRun, name_run, read_start
from harness.ledger.nearby import is_own_project
from harness.ledger.pins import find_modules_behind
from harness.ledger.progress import read_progress
from harness.ledger.registration import (
    Comparison,
    Pins,
    Registration,
    choose_seeds,
    compare,
    find_registration,
    list_differences,
    pin_code,
    register,
    write_canonical,
)
from harness.ledger.runs import (
    State,
    describe_end,
    describe_state,
    find_attempt,
    find_deviating,
    find_judged,
    list_attempts,
    list_looks,
    list_open_attempts,
    list_recorded_files,
)
from harness.ledger.second import Surroundings, lock_project, refuse_later, refuse_second
from harness.ledger.timeline import Moment, read_timeline

__all__ = [
    "Amendment",
    "Ancestry",
    "AnchorCheck",
    "CodeDifferences",
    "Comparison",
    "Entry",
    "Environment",
    "Event",
    "Hindrance",
    "Ledger",
    "LedgerIndex",
    "LookBody",
    "Member",
    "Moment",
    "OpenAttempt",
    "Pins",
    "Registration",
    "StartedRun",
    "State",
    "StoredFixing",
    "Surroundings",
    "Version",
    "amend",
    "choose_seeds",
    "close_on_failure",
    "compare",
    "compare_code",
    "describe_cover",
    "describe_end",
    "describe_environment",
    "describe_state",
    "find_attempt",
    "find_deviating",
    "find_hindrances",
    "find_in_force",
    "find_judged",
    "find_latest",
    "find_left_out",
    "find_modules_behind",
    "find_registration",
    "find_registration_of",
    "is_own_project",
    "keep_meaningful",
    "list_amendments",
    "list_anchors_before",
    "list_attempts",
    "list_attempts_with",
    "list_code_deviations",
    "list_differences",
    "list_families",
    "list_looks",
    "list_open_attempts",
    "list_recorded_files",
    "list_rerun_changes",
    "list_resumption_changes",
    "lock_hypothesis",
    "lock_project",
    "lock_working_files",
    "name_run",
    "pin_code",
    "read_fixing",
    "read_progress",
    "read_start",
    "read_timeline",
    "record_look",
    "record_verdict",
    "refuse_judged",
    "refuse_later",
    "refuse_second",
    "register",
    "sign",
    "stamp",
    "start_or_resume",
    "verify_anchors",
    "write_canonical",
]
