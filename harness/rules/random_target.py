"""A control without a target: whatever grows under it grows without a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import DrawSpec, Init
from harness.losses import Loss
from harness.models import Model
from harness.rules import Flops, Objective, Rule, count_through, descend_through

if TYPE_CHECKING:
    from torch import Tensor


class RandomTarget(Rule):
    """Backpropagation from labels that are drawn uniformly anew for every sample of every step.

    Nothing can be learned from them: accuracy stays at 1/C. The training loss is that of these labels. ``labels: {name:
    random}`` in a setup draws labels once per epoch, for any rule.

    Equation:
        as bp, with labels drawn uniformly anew at every step

    Source:
        A control of this project; nothing of it is published.

    Use:
        As a control without a task: whatever norms or alignment grow under it grow without anything to learn.

    Traps:
        Accuracy stays at 1/C by construction, so it is exempt from everything that asks a rule to learn. The training
        loss is that of the random labels. ``labels: {name: shuffled}`` in a setup is another control, a fixed wrong
        labelling that can be memorised.
    """

    name: Literal["random_target"]
    learns: ClassVar[bool] = False

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True: the error passes back through the weights."""
        return True

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return one label per sample."""
        return (DrawSpec("labels", (None,), Init("integer", classes)),)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return what backpropagation takes."""
        return count_through(model, features, classes, frozen)

    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[..., Tensor] | None,
        loss: Loss,
    ) -> Objective:
        """Compute one forward pass, in which nothing is detached."""
        return descend_through(model, p, x, feedback["labels"], penalty, loss)


plugin = RandomTarget
