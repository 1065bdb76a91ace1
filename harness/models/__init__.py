"""Models: what is trained. A model is an embedding, a chain of blocks and a head, all replica-first.

    h_0 = embed(x);  h_{l+1} = join(h_l, branch_l(h_l)), l = 0 … L−1;  logits = head(h_L)

Learning rules only see these parts, which is what lets one rule train every model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import TensorSpec
from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Model(Plugin):
    """Interface of a model plug-in. ``p`` maps parameter names to stacked tensors [r, …]."""

    architecture: ClassVar[Literal["residual_mlp"] | None] = None
    """Which architecture this is, for steps that compute it without the methods below; None leaves it to autograd.

    ``residual_mlp``: the equations, fields and parameter names of ``models/residual_mlp.py``. A declaration holds for
    the class that makes it, not for its subclasses.
    """

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of blocks, L."""

    @property
    @abstractmethod
    def hidden(self) -> int:
        """Width of h_l, d."""

    @abstractmethod
    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Every trainable tensor of one replica, for inputs of ``features`` numbers and ``classes`` classes."""

    @abstractmethod
    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """x [r, n, i] → h_0 [r, n, d]."""

    @abstractmethod
    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """f_l(h) [r, n, d] for h [r, n, d]."""

    @abstractmethod
    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """h_{l+1} from h_l and f_l(h_l), each [r, n, d]."""

    @abstractmethod
    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """h_L [r, n, d] → logits [r, n, c]."""

    def groups(self) -> tuple[str, ...]:
        """The parts that can be frozen one by one, in forward order."""
        return ("embedding", *(f"block_{layer}" for layer in range(self.depth)), "head")

    def expand_groups(self, names: tuple[str, ...]) -> frozenset[str]:
        """Group names with ``blocks`` standing for all blocks.

        Raises:
            ValueError: a name that is no part of this model.
        """
        known = self.groups()
        expanded: set[str] = set()
        for name in names:
            if name == "blocks":
                expanded.update(group for group in known if group.startswith("block_"))
            elif name in known:
                expanded.add(name)
            else:
                raise ValueError(f"{name!r} is no part of this model; its parts are blocks, {', '.join(known)}")
        return frozenset(expanded)
