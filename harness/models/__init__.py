"""Models, which are trained. A model is an embedding, a chain of blocks and a head, all replica-first.

    h_0 = embed(x);  h_{l+1} = join(h_l, branch_l(h_l)), l = 0 … L−1;  logits = head(h_L)

Learning rules see only these parts, so that one rule can train every model.
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
    """Architecture, for training steps that compute it without the methods below; None leaves it to autograd.

    ``residual_mlp`` stands for the equations, fields and parameter names of ``models/residual_mlp.py``. A declaration
    holds for the class that makes it, not for its subclasses.
    """

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of blocks, L."""

    @property
    @abstractmethod
    def hidden(self) -> int:
        """Width d of the hidden states h_l."""

    @abstractmethod
    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return every trainable tensor of one replica, for inputs of ``features`` numbers and ``classes`` classes."""

    @abstractmethod
    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Map inputs x [r, n, i] to the first hidden state h_0 [r, n, d]."""

    @abstractmethod
    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return the branch output f_l(h) [r, n, d] of block ``layer`` for h [r, n, d]."""

    @abstractmethod
    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Return h_{l+1} from h_l and f_l(h_l), each [r, n, d]."""

    @abstractmethod
    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Map the last hidden state h_L [r, n, d] to logits [r, n, c]."""

    def groups(self) -> tuple[str, ...]:
        """Return the names of the parts that can be frozen separately, in forward order."""
        return ("embedding", *(f"block_{layer}" for layer in range(self.depth)), "head")

    def expand_groups(self, names: tuple[str, ...]) -> frozenset[str]:
        """Return the names of the parts, with ``blocks`` replaced by all blocks.

        Raises:
            ValueError: A name is not a part of this model.
        """
        known = self.groups()
        expanded: set[str] = set()
        for name in names:
            if name == "blocks":
                expanded.update(group for group in known if group.startswith("block_"))
            elif name in known:
                expanded.add(name)
            else:
                raise ValueError(f"{name!r} is not a part of this model; its parts are blocks, {', '.join(known)}")
        return frozenset(expanded)
