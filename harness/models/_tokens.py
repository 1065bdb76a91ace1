"""Parts of models that read images as tokens, one per patch; this module is no plug-in."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Footprint, Product
from harness.models._images import ImageModel
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class Branch(NamedTuple):
    """One residual branch of a network: what it computes, and the part of the model that it belongs to."""

    kind: str
    group: str

    @property
    def name(self) -> str:
        """Beginning of the names of its tensors."""
        return f"{self.group}.{self.kind}"


class TokenModel(ImageModel):
    """Interface of a network whose states are tokens [t, d], to which residual branches of two kinds are added in turn.

    h_{l+1} = h_l + f_l(h_l). Branches have a layer norm at their beginning, and the head has one.
    """

    width: Annotated[int, Unit("units")] = Field(default=64, ge=1, le=65_536)
    """Width d of a token."""
    blocks: Annotated[int, Unit("blocks")] = Field(default=4, ge=1, le=1_000)
    """Number of blocks of two residual branches each."""
    patch: Annotated[int, Unit("pixels")] = Field(default=4, ge=1, le=255)
    """Side of the patches that an image is cut into, one per token. It must divide the side of the image."""
    activation: Literal["gelu", "relu", "tanh"] = "gelu"
    """Activation function. gelu is the exact one, not the tanh approximation."""
    sites: Literal["blocks", "branches"] = "blocks"
    """Parts that rules give credit to, and that are frozen and clipped: blocks of two branches (blocks, default), which
    makes the depth L the number of blocks, or each branch by itself (branches), which makes it twice as large."""

    @property
    @abstractmethod
    def kinds(self) -> tuple[str, str]:
        """Names of the two kinds of branches."""

    @property
    def patches(self) -> int:
        """Number of patches of an image."""
        return (self.image.size // self.patch) ** 2

    @property
    def tokens(self) -> int:
        """Number of tokens, t."""
        return self.patches

    @property
    def depth(self) -> int:
        """Number of blocks, or of branches, L."""
        return self.blocks * (1 if self.sites == "blocks" else 2)

    def check_image(self) -> None:
        """Raise ValueError if the image isn't made of whole patches."""
        if self.image.size % self.patch:
            raise ValueError(
                f"patches of {self.patch} × {self.patch} don't divide an image of {self.image.size} × {self.image.size}"
            )

    def shape(self, layer: int) -> tuple[int, ...]:
        """Return [t, d]."""
        return (self.tokens, self.width)

    @property
    def footprint(self) -> Footprint:
        """Count states and what is between products."""
        inner = sum(self.count_inner(kind) for kind in self.kinds)
        units = self.tokens * self.width
        trained = self.blocks * (12 * units + inner) + 4 * units
        largest = 4 * units + 3 * max(self.count_inner(kind) for kind in self.kinds)
        probed = self.blocks * (7 * units // 2 + inner)
        return Footprint(trained, largest, probed, tapped=3 * self.blocks * units)

    @abstractmethod
    def count_inner(self, kind: str) -> int:
        """Return the numbers between the products of a branch, for one sample."""

    @abstractmethod
    def list_branch_specs(self, branch: Branch) -> tuple[TensorSpec, ...]:
        """Return the tensors of a branch, its norm left out."""

    @abstractmethod
    def list_branch_products(self, branch: Branch) -> tuple[Product, ...]:
        """Return the products of a branch."""

    @abstractmethod
    def compute_branch(self, p: Mapping[str, Tensor], branch: Branch, u: Tensor) -> Tensor:
        """Return what a branch adds [r, n, t, d], from the normalised state u."""

    def list_embedding_specs(self) -> tuple[TensorSpec, ...]:
        """Return what the embedding has beside its product; nothing by default."""
        return ()

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return the embedding's tensors, each branch's norm and tensors, the terminal norm, and the head."""
        specs = [*list_linear("embedding", "embedding", self._count_pixels(), self.width), *self.list_embedding_specs()]
        for branch in self._list_branches():
            specs += list_norm(branch.name, branch.group, self.width)
            specs += self.list_branch_specs(branch)
        specs += list_norm("head", "head", self.width)
        return (*specs, *list_linear("head", "head", self.width, classes))

    def products(self, features: int, classes: int) -> tuple[Product, ...]:
        """Return the products of the embedding, of the branches, and of the head, which follows a norm."""
        found = [Product("embedding", self._count_pixels(), self.width, follows=False, places=self.patches)]
        for branch in self._list_branches():
            found += self.list_branch_products(branch)
        return (*found, Product("head", self.width, classes, follows=True))

    def embed_patches(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return a token for each patch of inputs x [r, n, i], flattened as channel, row, column: [r, n, t, d]."""
        images, side = self.view_images(x), self.patch
        r, n, c, size, _ = images.shape
        cut = images.view(r, n, c, size // side, side, size // side, side)
        return apply_linear(p, "embedding", cut.permute(0, 1, 3, 5, 2, 4, 6).reshape(r, n, self.patches, -1))

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return what is added to h [r, n, t, d]: by one branch, or by the two of a block."""
        if self.sites == "branches":
            return self._add(p, layer, h)
        first = self._add(p, 2 * layer, h)
        return first + self._add(p, 2 * layer + 1, h + first)

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Return h + f."""
        return h + f

    def read_out(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return logits from a token [r, n, d] that is normalised."""
        from harness.batched.layers import linear

        return linear(h, p["head.weight"], p["head.bias"])

    def _add(self, p: Mapping[str, Tensor], number: int, h: Tensor) -> Tensor:
        branch = self._name_branch(number)
        return self.compute_branch(p, branch, apply_norm(p, branch.name, h))

    def _list_branches(self) -> list[Branch]:
        return [self._name_branch(number) for number in range(2 * self.blocks)]

    def _name_branch(self, number: int) -> Branch:
        part = number // 2 if self.sites == "blocks" else number
        return Branch(self.kinds[number % 2], f"block_{part}")

    def _count_pixels(self) -> int:
        return self.image.channels * self.patch**2


def list_linear(name: str, group: str, fan_in: int, fan_out: int) -> tuple[TensorSpec, TensorSpec]:
    """Return weight and bias, initialised like PyTorch's ``nn.Linear``, U(±1/√in)."""
    init = Init("uniform", 1.0 / math.sqrt(fan_in))
    weight = TensorSpec(f"{name}.weight", (fan_in, fan_out), init, group)
    return weight, TensorSpec(f"{name}.bias", (fan_out,), init, group)


def list_norm(name: str, group: str, width: int) -> tuple[TensorSpec, TensorSpec]:
    """Return weight and bias of the layer norm of a part."""
    weight = TensorSpec(f"{name}.norm.weight", (width,), Init("constant", 1.0), group)
    return weight, TensorSpec(f"{name}.norm.bias", (width,), Init("constant", 0.0), group)


def apply_linear(p: Mapping[str, Tensor], name: str, h: Tensor) -> Tensor:
    """Return h W + b of every token, [r, n, t, i] to [r, n, t, o]."""
    from harness.batched.layers import linear

    return _on_rows(lambda rows: linear(rows, p[f"{name}.weight"], p[f"{name}.bias"]), h)


def apply_norm(p: Mapping[str, Tensor], name: str, h: Tensor) -> Tensor:
    """Return the layer norm of every token [r, n, t, d]."""
    from harness.batched.layers import layer_norm

    return _on_rows(lambda rows: layer_norm(rows, p[f"{name}.norm.weight"], p[f"{name}.norm.bias"]), h)


def apply_mlp(p: Mapping[str, Tensor], name: str, h: Tensor, activation: Literal["gelu", "relu", "tanh"]) -> Tensor:
    """Return W2·φ(W1·h) of every token."""
    from harness.batched.layers import activate

    return apply_linear(p, f"{name}.w2", activate(apply_linear(p, f"{name}.w1", h), activation))


def _on_rows(function: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    """Apply to h [r, n, t, i] what maps [r, rows, i] to [r, rows, o]."""
    found = function(h.flatten(1, 2))
    return found.view(*h.shape[:3], -1)
