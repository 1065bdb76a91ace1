"""The plain network of the literature on learning rules.

h_0 = φ(x W + b);  h_{l+1} = φ(h_l W_l + b_l), l = 0 … L−1;  logits = h_L W + b
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from harness.batched.specs import Init, TensorSpec
from harness.models import Model, Product
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor

HiddenInit = Literal["torch", "he", "xavier", "orthogonal", "zero"]


class Mlp(Model):
    """A plain network of equal hidden layers, without skip connections or norms.

    The first hidden layer is the embedding, activation included, and each further one is a block: its branch is
    h W + b, and its join applies φ. Credit therefore acts on φ's result, and every rule finds φ′ on the way.

    Equation:
        h_0 = φ(x W + b),  h_{l+1} = φ(h_l W_l + b_l),  logits = h_L W + b

    Source:
        The plain networks of the literature on learning rules: Nøkland 2016, arXiv 1609.01596 (tanh, 800 units);
        Lillicrap et al. 2016 (logistic, 1000); Dellaferrera and Kreiman 2022, arXiv 2201.11665 (ReLU, 1024, no bias).

    Use:
        To hold a rule against published figures, and wherever skip connections would carry the signal past the blocks.

    Traps:
        ``layers`` counts hidden layers, of which the first is the embedding: ``freeze: [blocks]`` leaves it trained,
        and with one layer there is no block. ``init: zero`` is Nøkland's choice for direct feedback and leaves every
        rule that goes back through weights without credit.
    """

    name: Literal["mlp"]
    width: Annotated[int, Unit("units")] = Field(default=256, ge=1, le=65_536)
    """Width d, the number of units of every hidden layer."""
    layers: Annotated[int, Unit("layers")] = Field(default=2, ge=1, le=1_000)
    """Number of hidden layers. The first is the embedding, so that the depth L is one less."""
    activation: Literal["tanh", "relu", "logistic"] = "tanh"
    """Activation function φ of the hidden layers."""
    init: HiddenInit = "torch"
    """Weights at the beginning. torch (default): like ``nn.Linear``, weights and biases U(±1/√in); he: N(0, 2/in);
    xavier: U(±√(6/(in + out))); orthogonal: orthonormal rows or columns; zero: zeros, which only direct feedback takes
    away from there. All but torch start biases at zero."""
    bias: bool = True
    """True if layers have biases."""

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Mlp:
        if self.init == "zero" and self.activation == "relu":
            raise ValueError("with relu, no gradient leaves zero weights: choose another init or activation")
        return self

    @property
    def depth(self) -> int:
        """Number of hidden layers after the first, L."""
        return self.layers - 1

    @property
    def hidden(self) -> int:
        """Width d."""
        return self.width

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return weight [in, out] and bias of the embedding, of each block and of the head."""
        specs: list[TensorSpec] = []
        for group, fan_in, fan_out in self._list_layers(features, classes):
            weight, bias = self._choose_inits(fan_in, fan_out)
            specs.append(TensorSpec(f"{group}.weight", (fan_in, fan_out), weight, group))
            if self.bias:
                specs.append(TensorSpec(f"{group}.bias", (fan_out,), bias, group))
        return tuple(specs)

    def products(self, features: int, classes: int) -> tuple[Product, ...]:
        """Return the product of every layer, before which its part has no other parameters."""
        return tuple(Product(*layer, follows=False) for layer in self._list_layers(features, classes))

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return φ(x W + b)."""
        return self._activate(self._map(p, "embedding", x))

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return h W + b."""
        return self._map(p, f"block_{layer}", h)

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Return φ(f)."""
        return self._activate(f)

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return h W + b."""
        return self._map(p, "head", h)

    def _list_layers(self, features: int, classes: int) -> list[tuple[str, int, int]]:
        """Return the part, the inputs and the outputs of every layer."""
        blocks = [(f"block_{layer}", self.width, self.width) for layer in range(self.depth)]
        return [("embedding", features, self.width), *blocks, ("head", self.width, classes)]

    def _choose_inits(self, fan_in: int, fan_out: int) -> tuple[Init, Init]:
        """Return the distributions of a layer's weight and bias."""
        zero = Init("constant", 0.0)
        if self.init == "torch":
            both = Init("uniform", 1.0 / math.sqrt(fan_in))
            return both, both
        weights = {
            "he": Init("normal", math.sqrt(2.0 / fan_in)),
            "xavier": Init("uniform", math.sqrt(6.0 / (fan_in + fan_out))),
            "orthogonal": Init("orthogonal", 1.0),
            "zero": zero,
        }
        return weights[self.init], zero

    def _activate(self, x: Tensor) -> Tensor:
        from harness.batched.layers import activate

        return activate(x, self.activation)

    def _map(self, p: Mapping[str, Tensor], group: str, h: Tensor) -> Tensor:
        from harness.batched.layers import linear

        return linear(h, p[f"{group}.weight"], p[f"{group}.bias"] if self.bias else None)


plugin = Mlp
