"""Direct random target projection (Frenkel, Lefebvre and Bol 2021, arXiv 1909.01311): labels in place of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import FixedCredit, Flops
from harness.rules._local import LocalPass, LocalRule, Normalize, count_direct, count_local, list_direct, project

if TYPE_CHECKING:
    from torch import Tensor


class Drtp(LocalRule):
    """Direct random target projection: c_0 = −t B_0, c_{l+1} = −t B_l, with t = onehot(y), whatever the loss.

    The sign is that of direct feedback alignment, whose error is p − t. B_l ~ U(±√(6/d)) is fixed. Credit depends on
    nothing but the label: each layer has one direction per class.

    Equation:
        c_0 = −t B_0,  c_{l+1} = −t B_l,  t = onehot(y)

    Source:
        Frenkel, Lefebvre and Bol 2021, arXiv 1909.01311.

    Use:
        To ask how far targets alone go: no output and no error is needed, so that a layer could be updated during the
        forward pass.

    Traps:
        Credit never vanishes, and nothing but saturation ends the growth of the states: use tanh or logistic units. In
        a network with layer norm and a skip connection the mean over classes swamps what differs between them, and
        accuracy stays near chance without ``center``. The source's code has the sign +t; the two differ under feedback
        that is shared with a ``dfa`` arm. The loss of the arm trains the head only.
    """

    name: Literal["drtp"]
    is_direct: ClassVar[bool] = True
    center: bool = False
    """True to project t − 1/C in place of t, so that credit has no mean over classes."""
    normalize: Normalize = "none"
    """Divisor of credit: its root mean square over the units of a sample (sample), that over the units and samples of a
    batch (batch), or none (the default)."""
    clip: Annotated[float | None, Unit("1")] = Field(default=None, gt=0, examples=[1.0])
    """Largest gradient norm per block; null (default) switches clipping off."""

    @property
    def fixed_credit(self) -> FixedCredit | None:
        """Targets, centred or not; None if credit has a factor of its own."""
        return FixedCredit("centred" if self.center else "targets", self.normalize) if self.has_plain_credit else None

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return B_l [C, d_{l+1}]."""
        return list_direct(model, classes, lambda size: Init("uniform", (6 / size) ** 0.5))

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of all parts and 2·C·d per block for t B_l, as for direct feedback."""
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
        """Return −t B_l, which no output is needed for."""
        from harness.batched.losses import one_hot

        targets = one_hot(y, error)
        if self.center:
            targets = targets - 1.0 / error.shape[-1]
        return project(model, feedback, -targets)


plugin = Drtp
