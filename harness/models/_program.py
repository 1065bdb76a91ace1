"""Stand-in for the model of an arm that a program trains; see ``harness.records.program``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.batched.specs import TensorSpec
from harness.models import Model
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor

SEEN = "a program has its own model"


class ProgramModel(Model):
    """A model of which harness knows nothing but into how many layers the program divides what it measures."""

    name: Literal["program"]
    layers: Annotated[int, Unit("layers")] = Field(default=1, ge=1, exclude_if=lambda value: value == 1)
    """Largest number of layers of a declared metric; 1 if none is measured by layer."""

    @property
    def depth(self) -> int:
        """Number of the last layer."""
        return self.layers - 1

    @property
    def hidden(self) -> int:
        """Return 1: nobody asks."""
        return 1

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return none: they are the program's."""
        return ()

    def groups(self) -> tuple[str, ...]:
        """Return one part, so that nothing can be frozen and something is trained."""
        return ("program",)

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Refuse, as do the others.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(SEEN)

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Refuse."""
        raise NotImplementedError(SEEN)

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Refuse."""
        raise NotImplementedError(SEEN)

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Refuse."""
        raise NotImplementedError(SEEN)


plugin = ProgramModel
