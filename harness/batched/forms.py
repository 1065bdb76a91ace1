"""The fastest form of a convolution on kinds of cards where somebody measured it; this module loads no torch.

The table is part of the code, and no measurement of the machine at hand: so a run that is resumed, repeated or
replicated on the same kind of card computes in the same form, whatever else the card does (docs/decisions/0082).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.batched.windows import Window

Form = Literal["grouped", "batched", "looped"]
"""Way to compute the convolutions of all replicas: as one of r groups, as batched products of patches, or in turn."""


class Layer(NamedTuple):
    """Shape of a convolution: channels in and out, side of the image, window."""

    channels: int
    out: int
    side: int
    window: Window


MEASURED: Mapping[str, Mapping[Layer, tuple[tuple[int, Form], ...]]] = {
    "NVIDIA H200": {
        Layer(64, 128, 6, Window(3)): ((10, "batched"), (40, "batched")),
        Layer(96, 128, 15, Window(5, 1, 2)): ((10, "looped"), (40, "looped")),
        Layer(16, 16, 32, Window(3, 1, 1)): ((10, "looped"), (40, "looped")),
        Layer(32, 32, 16, Window(3, 1, 1)): ((40, "looped"),),
    },
}
"""Card → layer → numbers of replicas, ascending, each with the form from there on; ``python benchmarks/conv.py --forms
FILE`` writes it from what it measured. A layer that is not there, or has fewer replicas, is grouped."""

present: dict[str, str] = {}
"""``card`` → name of the card that this process computes on, as PyTorch reports it, once it was opened. Read where
convolutions are traced for torch.compile, which can't ask for it."""


def find_form(card: str, layer: Layer, replicas: int) -> Form:
    """Return the form that was the fastest on a kind of card; grouped where nobody found another one."""
    found: Form = "grouped"
    for least, form in MEASURED.get(card, {}).get(layer, ()):
        if least <= replicas:
            found = form
    return found
