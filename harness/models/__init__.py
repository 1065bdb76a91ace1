"""Models, which are trained. A model is an embedding, a chain of blocks and a head, all replica-first.

    h_0 = embed(x);  h_{l+1} = join(h_l, branch_l(h_l)), l = 0 … L−1;  logits = head(h_L)

Learning rules see only these parts, so that one rule can train every model.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from harness.batched.specs import TensorSpec
from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Product(NamedTuple):
    """A product of a sample's activations [in] with weights [in, out], in the forward pass."""

    group: str
    """Part of the model to which the weights belong."""
    fan_in: int
    """Size of what goes in."""
    fan_out: int
    """Size of what comes out."""
    follows: bool
    """True if other parameters of the same part come before it, so that their gradient passes through it."""
    places: int = 1
    """Number of places of a sample at which the same weights are used: positions of an image, or tokens."""
    weighted: bool = True
    """False if activations are multiplied with one another, as in attention: either has a gradient."""

    @property
    def flops(self) -> int:
        """Floating-point operations for one sample: a multiplication and an addition per weight and place."""
        return 2 * self.fan_in * self.fan_out * self.places


class Footprint(NamedTuple):
    """Numbers that passes through a model hold of one sample at once, besides its features; for plans.

    Those of the registered models were fitted to peaks on an H200 (``benchmarks/memory.py``).
    """

    trained: int
    """Numbers that autograd keeps between forward and backward pass of a training step."""
    passed: int
    """Numbers of a forward pass without gradients."""
    probed: int
    """Numbers of a pass with gradients at the states alone, and of these states and gradients."""
    tapped: int
    """Numbers that measuring credit where it acts takes besides."""


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
        """Width d of the hidden states h_l; of states of several sizes, the number of units of the largest."""

    @property
    def inner(self) -> int:
        """Number of units of the layer inside a block, for plans; by default d, as if a block had no other."""
        return self.hidden

    def on(self, channels: int, size: int) -> Self:
        """Return the model for images of ``channels`` × ``size`` × ``size`` numbers, flattened in this order.

        A setup does this with its data set. By default, the model itself: it sees vectors of features.

        Raises:
            ValueError: The model can't read such images.
        """
        return self

    @abstractmethod
    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return every trainable tensor of one replica, for inputs of ``features`` numbers and ``classes`` classes."""

    def shape(self, layer: int) -> tuple[int, ...]:
        """Return the shape of h_l of one sample, l = 0 … L; by default (d,)."""
        return (self.hidden,)

    @property
    def has_equal_states(self) -> bool:
        """True if h_0 … h_L have one shape."""
        return len({self.shape(layer) for layer in range(self.depth + 1)}) == 1

    @property
    def is_silent_at_zero(self) -> bool:
        """True if all states are zero where all parameters are; by default, unless ``activation`` is logistic."""
        return getattr(self, "activation", None) != "logistic"

    @property
    def constants(self) -> frozenset[str]:
        """Names of parameters that are units of h_0 which no input reaches, such as a class token; by default, none."""
        return frozenset()

    @property
    def footprint(self) -> Footprint:
        """Numbers that passes hold of one sample, roughly, for plans; by default as measured on residual MLPs."""
        units = sum(math.prod(self.shape(layer)) for layer in range(self.depth + 1))
        return Footprint(trained=10 * units, passed=3 * self.hidden, probed=5 * units // 2, tapped=5 * units // 2)

    @property
    def couples_samples(self) -> bool:
        """True if the output of a sample in training depends on the others of its batch, as with batch norm."""
        return False

    def weights(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return the specs of the weights that an error passes back through, in forward order.

        These are what the model gives to ``linear`` as weights, the first that sees the input first. Layer-wise rules
        put a ``Pair`` in the place of each but the first. By default, all tensors with two axes or more.
        """
        return tuple(spec for spec in self.parameters(features, classes) if len(spec.shape) > 1)

    def settle(self, p: Mapping[str, Tensor], x: Tensor) -> Self:
        """Return the model as it is evaluated under these parameters, after a pass over training inputs x [r, n, i].

        Models that couple samples in training take statistics from x here, so that in an evaluation a sample's output
        is its own. By default, the model itself.
        """
        return self

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

    def products(self, features: int, classes: int) -> tuple[Product, ...] | None:
        """Return the products with weights of one forward pass, in its order; None if the model doesn't say.

        Training is counted in floating-point operations from these (``Rule.count_flops``).
        """
        return None

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
