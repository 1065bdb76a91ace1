"""The state of Hugging Face's Trainer: trainer_state.json with its log history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar, Literal

from harness.adapters import Adapter, BadRecord, Point

OWN = ("epoch", "step")


class TrainerState(Adapter):
    """State of Hugging Face's Trainer: ``file: trainer_state.json``, or ``checkpoint-*/trainer_state.json``.

    Points are the numbers of ``log_history`` at their epochs; those amid an epoch (1.5) are at no evaluation.

    Equation:
        point = (key, entry["epoch"], entry[key]) for every number of every entry of log_history

    Source:
        transformers.TrainerState, written by ``Trainer.save_state`` and with every checkpoint.

    Use:
        For programs with Trainer that evaluate every epoch (``eval_strategy="epoch"``) and end with ``save_state()``.

    Traps:
        Every checkpoint has a state of its own: with several, ``checkpoint-*`` fits more than one file, and none is
        chosen for you. Call ``save_state()``. Timings such as ``eval_runtime`` differ from run to run: no results for
        ``deterministic: true``.
    """

    name: Literal["trainer_state"]
    tool: ClassVar[str] = "Hugging Face's Trainer"

    def read(self, raw: bytes) -> Iterator[Point]:
        """Yield the numbers of the log history."""
        history = json.loads(raw)["log_history"]
        if not isinstance(history, list):
            raise BadRecord("its log history is no list")
        for entry in history:
            for name, value in entry.items():
                if name not in OWN and isinstance(value, int | float) and not isinstance(value, bool):
                    yield Point(name, float(entry["epoch"]), float(value))


plugin = TrainerState
