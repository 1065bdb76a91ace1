"""The residual MLP of the two protocols: h_{l+1} = h_l + W2·act(W1·LN(h_l)), logits = head(LN_out(h_L))."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Model
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class ResidualMlp(Model):
    """Pre-layer-norm residual MLP. Linear layers start as PyTorch's ``nn.Linear`` does, U(±1/√fan_in)."""

    name: Literal["residual_mlp"]
    architecture: ClassVar[Literal["residual_mlp"] | None] = "residual_mlp"
    width: Annotated[int, Unit("units")] = Field(default=256, ge=1, le=65_536)
    """d, the size of every h_l."""
    blocks: Annotated[int, Unit("blocks")] = Field(default=4, ge=1, le=1_000)
    """L."""
    expansion: Annotated[int, Unit("1")] = Field(default=1, ge=1, le=64)
    """Size of a block's inner layer, as a multiple of the width."""
    activation: Literal["gelu", "relu", "tanh"] = "gelu"
    """Between W1 and W2; gelu is the exact one."""
    branch_std: Annotated[float, Unit("1")] = Field(default=0.01, gt=0)
    """Standard deviation of W2 at the start; its bias starts at zero."""
    terminal_norm: bool = True
    """LN_out before the head."""
    skip: bool = True
    """The skip connection; without it h_{l+1} = f_l(h_l)."""

    @property
    def depth(self) -> int:
        """L."""
        return self.blocks

    @property
    def hidden(self) -> int:
        """The width d."""
        return self.width

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """E, per block LN, W1, W2, then LN_out and head; weights are [in, out]."""
        d, inner = self.width, self.width * self.expansion
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

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """E x."""
        from harness.batched.layers import linear

        return linear(x, p["embedding.weight"], p["embedding.bias"])

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """W2·act(W1·LN(h))."""
        from harness.batched.layers import activate, layer_norm, linear

        at = f"block_{layer}"
        u = layer_norm(h, p[f"{at}.norm.weight"], p[f"{at}.norm.bias"])
        u = activate(linear(u, p[f"{at}.w1.weight"], p[f"{at}.w1.bias"]), self.activation)
        return linear(u, p[f"{at}.w2.weight"], p[f"{at}.w2.bias"])

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """h + f, or f without the skip connection."""
        return h + f if self.skip else f

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Linear(LN_out(h)), or Linear(h) without the terminal norm."""
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
