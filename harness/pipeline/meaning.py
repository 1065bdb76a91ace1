"""The meaning of registered texts, and errors, in an audit's words."""

from __future__ import annotations

import json

from pydantic import ValidationError

from harness import spec
from harness.errors import HarnessError, InvalidHypothesis
from harness.ledger.audit import Evidence
from harness.ledger.index import Fixing
from harness.ledger.prior_data_bodies import ExploredBody
from harness.records import Hypothesis


def read_meaning(evidence: Evidence, canonical: str) -> Hypothesis | None:
    """Read a registered canonical form, read with this version's defaults; None if it is not there or not valid."""
    data = evidence.object(canonical)
    try:
        return None if data is None else Hypothesis.model_validate(json.loads(data))
    except (ValueError, RecursionError):
        return None


def has_same_meaning(evidence: Evidence, raw: str, fixed: Fixing | ExploredBody) -> bool:
    """Tell whether a text, read by this version, means what a registered canonical form says."""
    meant = read_meaning(evidence, fixed.canonical)
    try:
        text = evidence.files.read(f"objects/sha256/{raw}")
        claims = evidence.files.read(f"objects/sha256/{fixed.claims}")
        return meant is not None and spec.parse(text, claims, fixed.hypothesis).hypothesis == meant
    except (OSError, KeyError, InvalidHypothesis):
        return False


def describe_error(error: Exception) -> str:
    """Describe an error in one line."""
    if isinstance(error, ValidationError):
        return f"{error.error_count()} faults in a stored record"
    text = error.message if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return text.splitlines()[0][:300] if text else type(error).__name__
