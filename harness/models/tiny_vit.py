"""A small Transformer for images (Dosovitskiy et al. 2021, arXiv 2010.11929), as the public log's.

h_0 = [class token, E(patches)] + positions;  u = h + attention(LN(h));  h′ = u + W2·φ(W1·LN(u));
logits = W·LN(class token of h_L) + b
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from harness.batched.specs import Init, TensorSpec
from harness.models import Product
from harness.models._tokens import Branch, TokenModel, apply_linear, apply_mlp, apply_norm, list_linear
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor

BEGINNING = Init("normal", 0.02)  # of class token and positions


class TinyVit(TokenModel):
    """A Transformer whose blocks are self-attention and a layer of units, each a residual branch after a layer norm.

    The head reads the class token after a terminal norm. Class token and positions are learned and begin as N(0, .02²);
    linear layers begin like ``nn.Linear``. With the defaults, 546,186 parameters on CIFAR-10, with ``ratio: 4``
    809,354. Layer-wise rules replace the way back through the four matrices of a block; softmax and the products of
    attention keep theirs. Credit acts on every unit of every token, each with a column of its own in the matrix of
    direct feedback: others share a matrix among tokens.

    Equation:
        h_0 = [class token, E(patches)] + positions;  u = h + attention(LN(h));  h′ = u + W2·φ(W1·LN(u));
        logits = W·LN(class token of h_L) + b

    Source:
        Dosovitskiy et al. 2021, arXiv 2010.11929.

    Use:
        To ask whether a rule trains attention, in the smallest network that has it.

    Traps:
        The head reads the class token only: gradients at the other tokens of h_L are 0, while direct feedback gives
        them credit. Softmax and the products of attention keep their exact way back under layer-wise rules. ``pepita``
        doesn't train the class token, which no input reaches. By default credit acts after each block of two branches.
    """

    name: Literal["tiny_vit"]
    width: Annotated[int, Unit("units")] = Field(default=128, ge=1, le=65_536)
    """Width d of a token."""
    heads: Annotated[int, Unit("heads")] = Field(default=4, ge=1, le=1_024)
    """Number of heads of attention, which must divide the width."""
    ratio: Annotated[int, Unit("1")] = Field(default=2, ge=1, le=64)
    """Size of the inner layer after attention, as a multiple of the width."""

    @model_validator(mode="after")
    def _has_whole_heads(self) -> TinyVit:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads don't divide a width of {self.width}: change heads or width")
        return self

    @property
    def kinds(self) -> tuple[str, str]:
        """Attention, then the layer of units."""
        return ("attention", "units")

    @property
    def tokens(self) -> int:
        """Number of patches, and the class token."""
        return self.patches + 1

    @property
    def constants(self) -> frozenset[str]:
        """The class token."""
        return frozenset({"embedding.class_token"})

    def count_inner(self, kind: str) -> int:
        """Return the numbers of queries, keys, values and of every head's attention, or those of the inner layer."""
        if kind == "units":
            return self.tokens * self.width * self.ratio
        return 3 * self.tokens * self.width + self.heads * self.tokens**2

    def list_embedding_specs(self) -> tuple[TensorSpec, ...]:
        """Return class token [d] and positions [t, d]."""
        return (
            TensorSpec("embedding.class_token", (self.width,), BEGINNING, "embedding"),
            TensorSpec("embedding.positions", (self.tokens, self.width), BEGINNING, "embedding"),
        )

    def weights(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return all matrices but the positions, which nothing is multiplied with."""
        return tuple(spec for spec in super().weights(features, classes) if spec.name.rpartition(".")[2] != "positions")

    def list_branch_specs(self, branch: Branch) -> tuple[TensorSpec, ...]:
        """Return the matrices of queries, keys and values in one, and of the result; or W1 and W2; with biases."""
        d, name, group = self.width, branch.name, branch.group
        if branch.kind == "attention":
            return (*list_linear(f"{name}.qkv", group, d, 3 * d), *list_linear(f"{name}.out", group, d, d))
        inner = d * self.ratio
        return (*list_linear(f"{name}.w1", group, d, inner), *list_linear(f"{name}.w2", group, inner, d))

    def list_branch_products(self, branch: Branch) -> tuple[Product, ...]:
        """Return the products at all tokens, after the norm; in attention, also those of tokens with tokens."""
        d, t, group = self.width, self.tokens, branch.group
        if branch.kind == "attention":
            return (
                Product(group, d, 3 * d, follows=True, places=t),
                Product(group, d, t, follows=True, places=t, weighted=False),
                Product(group, t, d, follows=True, places=t, weighted=False),
                Product(group, d, d, follows=True, places=t),
            )
        inner = d * self.ratio
        return tuple(Product(group, *each, follows=True, places=t) for each in ((d, inner), (inner, d)))

    def compute_branch(self, p: Mapping[str, Tensor], branch: Branch, u: Tensor) -> Tensor:
        """Return attention over tokens, or W2·φ(W1·u)."""
        if branch.kind == "units":
            return apply_mlp(p, branch.name, u, self.activation)
        r, n, t, d = u.shape
        split = apply_linear(p, f"{branch.name}.qkv", u).view(r, n, t, 3, self.heads, d // self.heads)
        q, k, v = split.permute(3, 0, 1, 4, 2, 5)  # [r, n, head, t, d/heads] each
        shares = (q @ k.mT / math.sqrt(d // self.heads)).softmax(-1)
        return apply_linear(p, f"{branch.name}.out", (shares @ v).transpose(2, 3).reshape(r, n, t, d))

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the class token and a token for each patch, plus positions, [r, n, t, d]."""
        import torch

        patches = self.embed_patches(p, x)
        first = p["embedding.class_token"][:, None, None].expand(-1, x.shape[1], -1, -1)
        return torch.cat([first, patches], dim=2) + p["embedding.positions"].unsqueeze(1)

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return logits from the normalised class token."""
        return self.read_out(p, apply_norm(p, "head", h[:, :, :1]).squeeze(2))


plugin = TinyVit
