"""Claims as they were registered, and as the file beside a hypothesis has them now."""

from __future__ import annotations

from collections.abc import Iterator

from harness import ledger, spec
from harness.errors import Finding
from harness.ledger import Ledger, Registration


def list_changed_claims(registration: Registration, loaded: spec.Loaded, trail: Ledger) -> tuple[str, ...]:
    """List the registered claims that were changed since, one sentence each; new ones are fine.

    Raises:
        Tampered: the registered claims are missing from the ledger's objects, or were changed there.
    """
    known = spec.parse_claims(trail.read_object(registration.claims))
    changed = [name for name, claim in known.claims.items() if loaded.claims.claims.get(name) != claim]
    told = "was changed after the registration; its registered form is used"
    return tuple(f"the claim {name} {told}" for name in changed)


def warn_of_changed_claims(loaded: spec.Loaded, trail: Ledger) -> Iterator[Finding]:
    """Warn of each registered claim that was changed since: every run from then on deviates."""
    registration = ledger.find_in_force(trail, loaded.hypothesis.id)
    for sentence in () if registration is None else list_changed_claims(registration, loaded, trail):
        remedy = "undo the change in claims.yaml, or give the changed claim another name; else a run deviates"
        yield spec.make_warning(loaded, "claims", ("implications",), sentence, remedy)
