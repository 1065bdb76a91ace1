"""Equal steps: compared arms take the same number of optimizer steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.preconditions import Asked, Obstacle, Precondition


class EqualSteps(Precondition):
    """All arms of an estimand take equally many optimizer steps: epochs × ⌈training samples / batch size⌉.

    Otherwise a difference between them may be that of longer training. How many steps a replica takes that stops at a
    condition (``until``) is not known beforehand, so that arms with one don't meet this.

    Source:
        A usual demand on comparisons of training methods.

    Use:
        Whenever arms differ in batch size, epochs or data.

    Traps:
        Equal steps are not equal samples or equal costs: see ``epoch: {spent: flops}``.
    """

    name: Literal["equal_steps"]
    tolerance: Annotated[float, Unit("1")] = Field(default=0.0, ge=0, lt=1)
    """Largest difference that counts as equal, relative to the larger number of steps."""

    def find_obstacles(self, asked: Asked) -> Iterator[Obstacle]:
        """Yield each estimand whose arms differ in their steps by more than the tolerance."""
        for name, estimand in asked.estimands.items():
            stops = [arm for arm in estimand.weights if asked.arms[arm].stops]
            if stops and len(estimand.weights) > 1:
                message = f"{name} reads arm {stops[0]!r}, whose replicas stop at a condition, each after other steps"
                remedy = "remove until from its setup, or leave the precondition out and read at equal steps"
                yield Obstacle(message, f"{remedy} (epoch: {{spent: steps}})", estimand.at)
                continue
            steps = {arm: asked.arms[arm].steps for arm in estimand.weights}
            least, most = min(steps, key=steps.__getitem__), max(steps, key=steps.__getitem__)
            if steps[most] - steps[least] > self.tolerance * steps[most]:
                message = f"{name} compares {steps[most]:,} optimizer steps of arm {most!r} with {steps[least]:,} of "
                remedy = "set epochs and batch_size so that they are equal, or allow for a tolerance"
                yield Obstacle(f"{message}arm {least!r}", remedy, estimand.at)


plugin = EqualSteps
