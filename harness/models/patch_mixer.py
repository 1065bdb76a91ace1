"""A small network of tokens without attention, after the MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601).

h_0 = E(patches);  u = h + W2·φ(W1·LN(h)) over tokens;  h′ = u + W4·φ(W3·LN(u)) over units;
logits = W·mean LN(h_L) + b
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.batched.specs import TensorSpec
from harness.models import Product
from harness.models._tokens import Branch, TokenModel, apply_mlp, apply_norm, list_linear
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class PatchMixer(TokenModel):
    """A network of tokens, mixed by a learned matrix, and then of units: the smallest that is like a Transformer.

    A block has two residual branches, each after a layer norm: one maps every unit over all tokens, the other every
    token over all units. Linear layers begin like ``nn.Linear``. With the defaults, 104,522 parameters on CIFAR-10.
    Credit acts on every unit of every token, each with a column of its own in the matrix of direct feedback.

    Equation:
        h_0 = E(patches);  u = h + W2·φ(W1·LN(h)) over tokens;  h′ = u + W4·φ(W3·LN(u)) over units;
        logits = W·mean LN(h_L) + b

    Source:
        After the MLP-Mixer of Tolstikhin et al. 2021, arXiv 2105.01601.

    Use:
        The smallest network that is like a Transformer: for rules on tokens, without attention's products of
        activations.

    Traps:
        A matrix that all tokens share is another rule than direct feedback here. By default credit acts after each
        block of two branches, and the first branch takes what passes back through the second; with ``sites: branches``
        each has its own. Behind the terminal norm outputs depend on the direction of each token only.
    """

    name: Literal["patch_mixer"]
    token_ratio: Annotated[int, Unit("1")] = Field(default=1, ge=1, le=64)
    """Size of the inner layer over tokens, as a multiple of their number."""
    channel_ratio: Annotated[int, Unit("1")] = Field(default=2, ge=1, le=64)
    """Size of the inner layer over units, as a multiple of the width."""

    @property
    def kinds(self) -> tuple[str, str]:
        """Over tokens, then over units."""
        return ("tokens", "units")

    def count_inner(self, kind: str) -> int:
        """Return the size of the inner layer at all units, or at all tokens."""
        return self.tokens * self.width * (self.token_ratio if kind == "tokens" else self.channel_ratio)

    def list_branch_specs(self, branch: Branch) -> tuple[TensorSpec, ...]:
        """Return W1 and W2 with biases."""
        size, inner, _ = self._measure(branch)
        return (
            *list_linear(f"{branch.name}.w1", branch.group, size, inner),
            *list_linear(f"{branch.name}.w2", branch.group, inner, size),
        )

    def list_branch_products(self, branch: Branch) -> tuple[Product, ...]:
        """Return both products, at all units or at all tokens, after the norm."""
        size, inner, places = self._measure(branch)
        sizes = ((size, inner), (inner, size))
        return tuple(Product(branch.group, *each, follows=True, places=places) for each in sizes)

    def compute_branch(self, p: Mapping[str, Tensor], branch: Branch, u: Tensor) -> Tensor:
        """Return W2·φ(W1·u) over tokens or over units."""
        if branch.kind == "units":
            return apply_mlp(p, branch.name, u, self.activation)
        return apply_mlp(p, branch.name, u.transpose(2, 3), self.activation).transpose(2, 3)

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return a token for each patch, [r, n, t, d]."""
        return self.embed_patches(p, x)

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return logits from the mean of the normalised tokens."""
        return self.read_out(p, apply_norm(p, "head", h).mean(2))

    def _measure(self, branch: Branch) -> tuple[int, int, int]:
        """Return the sizes of a branch's outer and inner layer, and the number of places at which they are used."""
        if branch.kind == "tokens":
            return self.tokens, self.tokens * self.token_ratio, self.width
        return self.width, self.width * self.channel_ratio, self.tokens


plugin = PatchMixer
