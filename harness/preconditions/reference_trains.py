"""A reference that trains: what the compared arms freeze must be able to matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from harness.preconditions import Asked, Obstacle, Precondition


class ReferenceTrains(Precondition):
    """The reference arm trains every part of the model that an arm compared with it freezes.

    A comparison with an arm whose blocks are frozen asks what training them is good for. It asks nothing if the
    reference freezes them too.

    Source:
        Of this project: docs/decisions/0054.

    Use:
        Whenever an arm with frozen parts is compared.

    Traps:
        It looks at what is frozen, not at whether the reference learns anything: a guard on its training loss does
        that.
    """

    name: Literal["reference_trains"]
    reference: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(examples=["penalized"])
    """Name of the reference arm; of an arm with a matrix, of one that it makes."""

    def find_obstacles(self, asked: Asked) -> Iterator[Obstacle]:
        """Yield a reference that does not exist or is compared with nothing, and the parts that it does not train."""
        if self.reference not in asked.arms:
            yield Obstacle(f"there is no arm {self.reference!r}", f"arms: {', '.join(asked.arms)}")
            return
        trained = asked.arms[self.reference].trained
        compared = [one.weights for one in asked.estimands.values() if self.reference in one.weights]
        others = dict.fromkeys(arm for weights in compared for arm in weights if arm != self.reference)
        if not others:
            yield Obstacle(f"no estimand compares an arm with {self.reference!r}", "name an arm that is compared")
        for arm in others:
            if idle := sorted(asked.arms[arm].frozen - trained):
                frozen = f"arm {arm!r} freezes {', '.join(idle)}"
                message = f"{frozen}, which the reference, {self.reference!r}, does not train"
                remedy = "train in the reference what is frozen in the other arm"
                yield Obstacle(message, remedy, (*asked.arms[self.reference].at, "freeze"))


plugin = ReferenceTrains
