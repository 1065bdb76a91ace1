"""The first part of a run: its meaning is in the ledger before anything is drawn or trained."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from harness import ledger, spec
from harness.ledger import Pins, Registration
from harness.pipeline.program import pin
from harness.pipeline.run_steps import Equipment, find_or_register, look_around, open_equipment, refuse_changes
from harness.pipeline.session import Session


@dataclass(frozen=True)
class Fixed:
    """A hypothesis whose meaning is in the ledger, and what it can be trained with."""

    registration: Registration
    """The registration in force."""
    pins: Pins
    """Code and templates as they are now."""
    differing: ledger.CodeDifferences
    """Differences of the code from the registered one."""
    equipment: Equipment
    """Device and data."""


def fix_meaning(loaded: spec.Loaded, session: Session, held: ExitStack) -> Fixed:
    """Register a hypothesis unless it is registered; the hypothesis stays locked until ``held`` ends.

    Raises:
        UsageError: data are missing, an option has no effect, or another trail holds its registration.
        DeviationRefused: the file means something else than what was registered.
    """
    hypothesis, trail = loaded.hypothesis, session.trail
    pins = pin(hypothesis, session)
    if pins.program is not None and (known := ledger.find_in_force(trail, hypothesis.id)) is not None:
        ledger.refuse_other_program(known.pins.program, pins.program, hypothesis.id, loaded.path)  # before it is asked
    equipment = open_equipment(hypothesis, session, pins.program)
    with ledger.lock_project(session.project.root):
        look_around(loaded, session)
        held.enter_context(ledger.lock_hypothesis(trail, hypothesis.id))
        registration = find_or_register(loaded, pins, equipment.fingerprints, session)
    return Fixed(registration, pins, refuse_changes(registration, loaded, trail, pins), equipment)
