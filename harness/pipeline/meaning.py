"""The meaning of registered texts, and errors, in an audit's words."""

from __future__ import annotations

import json

from pydantic import ValidationError

from harness import spec
from harness.errors import HarnessError, InvalidHypothesis
from harness.ledger.audit import Evidence, Meaning
from harness.ledger.index import Fixing
from harness.ledger.prior_data_bodies import ExploredBody
from harness.plugins.distributions import find_missing
from harness.records import Hypothesis
from harness.wording import join_words


def read_meaning(evidence: Evidence, canonical: str) -> Hypothesis | None:
    """Read a registered canonical form, read with this version's defaults; None if it is not there or not valid."""
    data = evidence.object(canonical)
    try:
        return None if data is None else Hypothesis.model_validate(json.loads(data))
    except (ValueError, RecursionError):
        return None


def compare_meaning(evidence: Evidence, raw: str, fixed: Fixing | ExploredBody) -> Meaning:
    """Compare the meaning of a text, read by this version, with what a registered canonical form says.

    Neither can be read where plug-ins of both are not installed. A text alone that names one means something else.
    """
    meant = read_meaning(evidence, fixed.canonical)
    try:
        text = evidence.files.read(f"objects/sha256/{raw}")
        claims = evidence.files.read(f"objects/sha256/{fixed.claims}")
        return Meaning(spec.parse(text, claims, fixed.hypothesis).hypothesis == meant)
    except (OSError, KeyError):
        return Meaning(same=False)
    except InvalidHypothesis as error:
        unknown = spec.list_unknown_plugins(error.findings)
    if not unknown or not _lacks_the_same(evidence.object(fixed.canonical), meant, text, unknown):
        return Meaning(same=False)
    plural = len(unknown) > 1
    unread = f"the plug-in{'s' * plural} {join_words(sorted(unknown))} {'are' if plural else 'is'} not installed here"
    pinned = None if isinstance(fixed, ExploredBody) else fixed.pins.packages
    missing = find_missing(pinned or ())
    remedy = f"install {join_words(missing)}, pinned by the registration, then audit again" if missing else None
    return Meaning(same=False, unread=unread, remedy=remedy)


def _lacks_the_same(canonical: bytes | None, meant: Hypothesis | None, text: bytes, unknown: frozenset[str]) -> bool:
    """Tell whether a canonical form names the same unknown plug-ins as a text, and nothing else is wrong with it."""
    if meant is not None:  # the names of metrics without parameters are no part of the form
        try:
            return spec.parse_form(text, "") == meant
        except InvalidHypothesis:
            return False
    try:
        Hypothesis.model_validate(json.loads(canonical or b""))
    except ValidationError as error:
        named = {detail.get("ctx", {}).get("tag") for detail in error.errors(include_url=False)}
        written = (canonical or b"").decode(errors="replace")  # JSON may be UTF-16
        return named <= unknown and all(json.dumps(name) in written for name in unknown)
    except (ValueError, RecursionError):
        pass
    return False


def describe_error(error: Exception) -> str:
    """Describe an error in one line."""
    if isinstance(error, ValidationError):
        return f"{error.error_count()} faults in a stored record"
    text = error.message if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return text.splitlines()[0][:300] if text else type(error).__name__
