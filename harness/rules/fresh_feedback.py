"""A control: direct feedback that is drawn anew at every step, to which nothing can align."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import DrawSpec, Init
from harness.models import Model
from harness.rules import Flops
from harness.rules._local import LocalPass, LocalRule, count_direct, count_local, list_direct, project

if TYPE_CHECKING:
    from torch import Tensor


class FreshFeedback(LocalRule):
    """Direct feedback alignment with new matrices at every step: c_0 = e B_0, c_{l+1} = e B_l, entries ±1/√C.

    The mean of the credit is 0, and embedding and blocks walk at random.

    Equation:
        c_0 = e B_0,  c_{l+1} = e B_l,  B_l drawn anew at every step

    Source:
        A control for direct feedback alignment (Nøkland 2016, arXiv 1609.01596).

    Use:
        Beside every arm with direct feedback: it has the same sites, scale and head, but no matrix to align to.

    Traps:
        Its accuracy is well above chance, because the head learns on wandering random features, and may exceed that of
        ``dfa`` with normalisation per sample. It therefore says how little accuracy alone shows.
    """

    name: Literal["fresh_feedback"]
    is_direct: ClassVar[bool] = True

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return B_l [C, d_{l+1}], of signs, which are the same on every device."""
        specs = list_direct(model, classes, lambda size: Init("sign", classes**-0.5))
        return tuple(DrawSpec(spec.name, spec.shape, spec.init) for spec in specs)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of all parts and 2·C·d per block for e B_l."""
        return count_local(model, features, classes, frozen, count_direct(model, classes, frozen))

    def project_classes(
        self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor], classes: Tensor
    ) -> Sequence[Tensor]:
        """Return the B of every state."""
        return project(model, feedback, classes)

    def give_credit(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        done: LocalPass,
        error: Tensor,
        y: Tensor,
    ) -> Sequence[Tensor]:
        """Return e B_l."""
        return project(model, feedback, error)


plugin = FreshFeedback
