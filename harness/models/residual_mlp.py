"""The residual MLP of both protocols: h_{l+1} = h_l + W2·act(W1·LN(h_l)), logits = head(LN_out(h_L))."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Model, Product
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class ResidualMlp(Model):
    """A pre-layer-norm residual MLP. Linear layers are initialised like PyTorch's ``nn.Linear``, U(±1/√fan_in).

    Equation:
        h_0 = E x,  h_{l+1} = h_l + W2·act(W1·LN(h_l)),  logits = W·LN_out(h_L)

    Source:
        Pre-layer-norm residual blocks (Xiong et al. 2020, arXiv 2002.04745; He et al. 2016, arXiv 1512.03385) on flat
        inputs, as in the protocols that this project replicates.

    Use:
        For questions of depth: blocks begin near the identity, all states have one width, and every rule trains it. It
        has the fastest training step.

    Traps:
        Behind the terminal norm the output depends on the direction of h_L only, so that ‖g_L‖·‖h_L‖ is constant: a
        vanishing gradient there may be nothing but a growing state. Report the product. Near-identity blocks make a
        network with frozen blocks a strong baseline.
    """

    name: Literal["residual_mlp"]
    architecture: ClassVar[Literal["residual_mlp"] | None] = "residual_mlp"
    width: Annotated[int, Unit("units")] = Field(default=256, ge=1, le=65_536)
    """Width d, the size of every hidden state h_l."""
    blocks: Annotated[int, Unit("blocks")] = Field(default=4, ge=1, le=1_000)
    """Depth L, the number of residual blocks."""
    expansion: Annotated[int, Unit("1")] = Field(default=1, ge=1, le=64)
    """Size of a block's inner layer, as a multiple of the width."""
    activation: Literal["gelu", "relu", "tanh"] = "gelu"
    """Activation function between W1 and W2. gelu is the exact one, not the tanh approximation."""
    branch_std: Annotated[float, Unit("1")] = Field(default=0.01, gt=0)
    """Standard deviation of W2 at initialisation; its bias starts at zero. Small values start each block near the
    identity."""
    terminal_norm: bool = True
    """True if a layer norm LN_out precedes the head."""
    skip: bool = True
    """True if blocks have a skip connection. Without it, h_{l+1} = f_l(h_l)."""

    @property
    def depth(self) -> int:
        """Number of blocks, L."""
        return self.blocks

    @property
    def hidden(self) -> int:
        """Width d."""
        return self.width

    @property
    def inner(self) -> int:
        """Size of the layer between W1 and W2."""
        return self.width * self.expansion

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return E, then LN, W1 and W2 of each block, then LN_out and the head. Weights are [in, out]."""
        d, inner = self.width, self.inner
        specs = [*_linear("embedding", "embedding", features, d)]
        for layer in range(self.blocks):
            group = f"block_{layer}"
            specs += _norm(f"{group}.norm", group, d)
            specs += _linear(f"{group}.w1", group, d, inner)
            specs.append(TensorSpec(f"{group}.w2.weight", (inner, d), Init("normal", self.branch_std), group))
            specs.append(TensorSpec(f"{group}.w2.bias", (d,), Init("constant", 0.0), group))
        if self.terminal_norm:
            specs += _norm("head.norm", "head", d)
        specs += _linear("head", "head", d, classes)
        return tuple(specs)

    def products(self, features: int, classes: int) -> tuple[Product, ...]:
        """Return E, W1 and W2 of each block, which follow its LN, and the head, which follows LN_out if it is there."""
        d, inner = self.width, self.inner
        found = [Product("embedding", features, d, follows=False)]
        for layer in range(self.blocks):
            group = f"block_{layer}"
            found += [Product(group, d, inner, follows=True), Product(group, inner, d, follows=True)]
        return (*found, Product("head", d, classes, follows=self.terminal_norm))

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return E x."""
        from harness.batched.layers import linear

        return linear(x, p["embedding.weight"], p["embedding.bias"])

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return W2·act(W1·LN(h))."""
        from harness.batched.layers import activate, layer_norm, linear

        at = f"block_{layer}"
        u = layer_norm(h, p[f"{at}.norm.weight"], p[f"{at}.norm.bias"])
        u = activate(linear(u, p[f"{at}.w1.weight"], p[f"{at}.w1.bias"]), self.activation)
        return linear(u, p[f"{at}.w2.weight"], p[f"{at}.w2.bias"])

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Return h + f, or f without the skip connection."""
        return h + f if self.skip else f

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return Linear(LN_out(h)), or Linear(h) without the terminal norm."""
        from harness.batched.layers import layer_norm, linear

        if self.terminal_norm:
            h = layer_norm(h, p["head.norm.weight"], p["head.norm.bias"])
        return linear(h, p["head.weight"], p["head.bias"])


def _linear(name: str, group: str, fan_in: int, fan_out: int) -> tuple[TensorSpec, TensorSpec]:
    init = Init("uniform", 1.0 / math.sqrt(fan_in))
    return (
        TensorSpec(f"{name}.weight", (fan_in, fan_out), init, group),
        TensorSpec(f"{name}.bias", (fan_out,), init, group),
    )


def _norm(name: str, group: str, width: int) -> tuple[TensorSpec, TensorSpec]:
    return (
        TensorSpec(f"{name}.weight", (width,), Init("constant", 1.0), group),
        TensorSpec(f"{name}.bias", (width,), Init("constant", 0.0), group),
    )


plugin = ResidualMlp
