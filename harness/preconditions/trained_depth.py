"""Enough trained depth: a layer's metric says something about learning only if blocks below the layer learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.preconditions import Asked, Obstacle, Precondition


class TrainedDepth(Precondition):
    """Every layer at which an estimand's metric is taken lies behind trained blocks, in every arm of the estimand.

    Block k makes layer k + 1 from layer k. Behind frozen blocks alone, a layer's hidden states, gradients and credits
    are those of a random network with a trained embedding, whatever the learning rule.

    Source:
        Of this project: docs/decisions/0054.

    Use:
        Whenever an estimand reads a metric of a layer.

    Traps:
        It knows which blocks are trained, not whether they change: a rule may leave a block where it was.
    """

    name: Literal["trained_depth"]
    blocks: Annotated[int, Unit("blocks")] = Field(default=1, ge=1)
    """Number of trained blocks that must lie below the layer."""

    def find_obstacles(self, asked: Asked) -> Iterator[Obstacle]:
        """Yield each layer of an arm that too few trained blocks lie below."""
        for name, estimand in asked.estimands.items():
            for layer in estimand.layers:
                for arm in estimand.weights:
                    trained = [block for block in range(layer) if f"block_{block}" in asked.arms[arm].trained]
                    if len(trained) < self.blocks:
                        count = f"{len(trained) or 'no'} trained {'block' if len(trained) == 1 else 'blocks'}"
                        message = f"{count} below layer {layer} in arm {arm!r}, where {name} is measured"
                        remedy = f"measure a layer behind {self.blocks} or more, or freeze fewer blocks"
                        yield Obstacle(message, remedy, (*estimand.at[:-1], "layer"))


plugin = TrainedDepth
