"""Members of families, by registration: whoever was one once stays one."""

from __future__ import annotations

import json
from typing import Annotated

from harness.ledger.events import Ledger
from harness.plugins.fields import Unit
from harness.records import Record


class Member(Record):
    """A registered member of a family."""

    hypothesis: str
    """The hypothesis's id."""
    registered: str
    """Claimed time of the registration, or of the amendment, that made it a member."""
    alpha: Annotated[float, Unit("probability")]
    """The largest of its decisions'."""


def list_families(ledger: Ledger) -> dict[str, tuple[Member, ...]]:
    """Return family → its members in ledger order.

    An amendment can add a hypothesis to a family and never take it out, so that nobody makes a family smaller after
    having seen a verdict.

    Raises:
        Tampered: as ``Ledger.events``, or a registered form is missing from the objects.
    """
    found: dict[str, dict[str, Member]] = {}
    for entry in ledger.index().fixing():
        form = json.loads(ledger.read_object(entry.body.canonical))
        name, family = entry.body.hypothesis, form.get("family")  # registrations from before had no such field
        if family is not None and name not in found.setdefault(family, {}):
            alpha = max(decision["criterion"]["alpha"] for decision in form["decisions"].values())
            found[family][name] = Member(hypothesis=name, registered=entry.claimed_time, alpha=alpha)
    return {family: tuple(members.values()) for family, members in sorted(found.items())}
