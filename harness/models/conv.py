"""The small convolutional networks of the literature on learning rules.

h_0 = φ(pool(x ∗ W + b));  h_{l+1} = φ(pool(h_l ∗ W_l + b_l)), then φ(h_l W_l + b_l);  logits = h_L W + b
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.batched.specs import Init, TensorSpec
from harness.batched.windows import Window
from harness.models import Footprint, Product
from harness.models._images import ImageModel, ImageShape
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class ConvLayer(BaseModel):
    """One convolution and the pooling after it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: Annotated[int, Unit("channels")] = Field(ge=1, le=65_536, examples=[32])
    """Number of channels that come out."""
    kernel: Annotated[int, Unit("pixels")] = Field(default=3, ge=1, le=255)
    """Side of the kernel."""
    stride: Annotated[int, Unit("pixels")] = Field(default=1, ge=1, le=255)
    """Step of the kernel."""
    padding: Annotated[int, Unit("pixels")] = Field(default=0, ge=0, le=255)
    """Width of the zeros around what comes in."""
    pool: Annotated[int, Unit("pixels")] = Field(default=1, ge=1, le=255)
    """Side of the windows of which the largest number is kept. 1 (default): nothing is pooled."""
    pool_stride: Annotated[int | None, Unit("pixels")] = Field(default=None, ge=1, le=255, examples=[2])
    """Step of these windows. null (default): their side, so that they don't overlap."""
    pool_padding: Annotated[int, Unit("pixels")] = Field(default=0, ge=0, le=127)
    """Width of the margin around what is pooled, which is never the largest."""

    @model_validator(mode="after")
    def _pools_something(self) -> ConvLayer:
        if 2 * self.pool_padding > self.pool:
            raise ValueError("pool_padding is more than half of pool: some windows would hold nothing but margin")
        return self

    @property
    def window(self) -> Window:
        """Window of the convolution."""
        return Window(self.kernel, self.stride, self.padding)

    @property
    def pooling(self) -> Window | None:
        """Window of the pooling; None without one."""
        return None if self.pool == 1 else Window(self.pool, self.pool_stride or self.pool, self.pool_padding)


class Part(NamedTuple):
    """A part of the network: the weights that a state passes, and the state that leaves."""

    group: str
    layer: ConvLayer | None
    """Convolution; None for a layer that every unit of the state before enters."""
    fan_in: int
    fan_out: int
    places: int
    """Number of positions at which the weights are used."""
    shape: tuple[int, ...]
    """Shape of the state that leaves the part."""


class Conv(ImageModel):
    """A plain network of convolutions, each with max pooling, and then of layers that all units enter.

    The first convolution is the embedding, pooling and activation included, and each further layer is a block: its
    branch is pool(h ∗ W + b) or h W + b, and its join applies φ. As φ increases, pooling before it and after it are
    the same. Credit therefore acts on every unit of what a layer hands on, after pooling, and each unit has a column of
    its own in the matrix of direct feedback (Nøkland 2016). A kernel is a weight [channels·kernel·kernel, out], which
    multiplies patches flattened as channel, row, column.

    The nets of the literature, apart from inputs and rates: BioTorch's for CIFAR-10 is the default with ``padding: 0``
    in each layer (128,842 parameters there), and Nøkland's is ``layers: [{channels: 96, kernel: 5, padding: 2, pool: 3,
    pool_stride: 2}, {channels: 128, …}, {channels: 256, …}]``, ``dense: [2048, 2048]``, ``average: false``,
    ``activation: tanh``. The default has padding, so that it reads images of 8 × 8 as well.

    Equation:
        h_0 = φ(pool(x ∗ W + b));  h_{l+1} = φ(pool(h_l ∗ W_l + b_l)), then φ(h_l W_l + b_l);  logits = h_L W + b

    Source:
        The networks of Nøkland 2016, arXiv 1609.01596, and of the public code of BioTorch, for CIFAR-10.

    Use:
        For what the literature on learning rules reports of convolutions: its networks can be written down here, and no
        norm or skip connection takes part.

    Traps:
        Direct feedback has a column per unit: a kernel of feedback that is spread over positions is another rule, and
        so is credit before pooling. States have several shapes, so that ``credit_cosine`` is not defined; use
        ``site_cosine``. Kernels pool with the maximum, which gives credit to one unit per window.
    """

    name: Literal["conv"]
    layers: tuple[ConvLayer, ...] = Field(
        default=(
            ConvLayer(channels=32, padding=1, pool=2),
            ConvLayer(channels=64, padding=1, pool=2),
            ConvLayer(channels=128, padding=1),
        ),
        min_length=1,
        max_length=1_000,
        examples=[[{"channels": 32, "kernel": 5, "pool": 2}]],
    )
    """Convolutions in forward order, the first of which is the embedding. Each has channels, and may have kernel (side,
    3 by default), stride (1), padding (zeros around, 0), pool (side of the windows of which the largest number is kept;
    1: none), pool_stride (by default pool, so that windows don't overlap), and pool_padding (0)."""
    average: bool = True
    """True to hand on the mean over all positions of each channel after the last convolution, and not every unit."""
    dense: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Unit("units")] = Field(
        default=(256,), max_length=1_000, examples=[[256]]
    )
    """Widths of the layers after the convolutions, before the head. [] for none."""
    activation: Literal["relu", "tanh", "logistic"] = "relu"
    """Activation function φ of all layers but the head."""
    init: Literal["torch", "he", "xavier"] = "torch"
    """Weights at the beginning, where in and out are the numbers of units that a unit reads and is read by. torch
    (default): like ``nn.Conv2d`` and ``nn.Linear``, weights and biases U(±1/√in); he: N(0, 2/in); xavier:
    U(±√(6/(in + out))). All but torch start biases at zero."""
    bias: bool = True
    """True if layers have biases."""

    @property
    def depth(self) -> int:
        """Number of layers after the first and before the head, L."""
        return len(self.layers) + len(self.dense) - 1

    def check_image(self) -> None:
        """Raise ValueError if a window doesn't fit what it moves over."""
        size = self.image.size
        for number, layer in enumerate(self.layers):
            for what, window in (("kernel", layer.window), ("window of pooling", layer.pooling)):
                if window is not None:
                    before, size = size, window.count(size)
                    if size < 1:
                        raise ValueError(
                            f"layers.{number}: a {what} of {window.side} × {window.side} doesn't fit what comes in,"
                            f" {before} × {before}: add padding, or pool less"
                        )

    def shape(self, layer: int) -> tuple[int, ...]:
        """Return the shape of h_l: [c, s, s] after a convolution, [d] after other layers."""
        return self.parts[layer].shape

    @property
    def footprint(self) -> Footprint:
        """Count what comes out of convolutions and of pooling."""
        sizes = [math.prod(part.shape) for part in self.parts]
        convolved = [part.places * part.fan_out for part in self.parts]
        largest = max(2 * before + after for before, after in zip(convolved, sizes, strict=True))
        both = sum(convolved) + sum(sizes)
        return Footprint(trained=43 * both // 20, passed=largest, probed=both, tapped=9 * sum(sizes) // 4)

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return weight [in, out] and bias of the embedding, of each block and of the head."""
        specs: list[TensorSpec] = []
        for part in (*self.parts, self._find_head(classes)):
            kernel = 1 if part.layer is None else part.layer.kernel**2
            weight, bias = self._choose_inits(part.fan_in, part.fan_out * kernel)
            specs.append(TensorSpec(f"{part.group}.weight", (part.fan_in, part.fan_out), weight, part.group))
            if self.bias:
                specs.append(TensorSpec(f"{part.group}.bias", (part.fan_out,), bias, part.group))
        return tuple(specs)

    def products(self, features: int, classes: int) -> tuple[Product, ...]:
        """Return the product of every layer, before which its part has no other parameters."""
        parts = (*self.parts, self._find_head(classes))
        return tuple(Product(part.group, part.fan_in, part.fan_out, False, part.places) for part in parts)

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return φ(pool(x ∗ W + b)), [r, n, c, s, s]."""
        return self._activate(self._map(p, self.parts[0], self.view_images(x)))

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return pool(h ∗ W + b), or h W + b of the flattened or averaged h."""
        return self._map(p, self.parts[layer + 1], h)

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Return φ(f)."""
        return self._activate(f)

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return h W + b of the flattened or averaged h."""
        return self._map(p, self._find_head(0), h)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The embedding and the blocks."""
        return _list_parts(self.layers, self.dense, self.average, self.image)

    def _find_head(self, classes: int) -> Part:
        return Part("head", None, _count_entering(self.parts[-1], self.average), classes, 1, (classes,))

    def _choose_inits(self, fan_in: int, fan_out: int) -> tuple[Init, Init]:
        """Return the distributions of a layer's weight and bias."""
        if self.init == "torch":
            both = Init("uniform", 1.0 / math.sqrt(fan_in))
            return both, both
        he, xavier = Init("normal", math.sqrt(2.0 / fan_in)), Init("uniform", math.sqrt(6.0 / (fan_in + fan_out)))
        return he if self.init == "he" else xavier, Init("constant", 0.0)

    def _activate(self, x: Tensor) -> Tensor:
        from harness.batched.layers import activate

        return activate(x, self.activation)

    def _map(self, p: Mapping[str, Tensor], part: Part, h: Tensor) -> Tensor:
        from harness.batched.convolution import convolve, pool_max, pool_mean
        from harness.batched.layers import linear

        weight, bias = p[f"{part.group}.weight"], p[f"{part.group}.bias"] if self.bias else None
        if part.layer is None:
            units = pool_mean(h) if self.average and h.dim() == 5 else h.flatten(2)
            return linear(units, weight, bias)
        found = convolve(h, weight, bias, part.layer.window)
        return found if part.layer.pooling is None else pool_max(found, part.layer.pooling)


def _list_parts(
    layers: tuple[ConvLayer, ...], dense: tuple[int, ...], average: bool, image: ImageShape
) -> tuple[Part, ...]:
    """Return the embedding and the blocks of a network on images of a shape."""
    channels, size = image
    parts: list[Part] = []
    for layer in layers:
        convolved = layer.window.count(size)
        size = convolved if layer.pooling is None else layer.pooling.count(convolved)
        shape, fan_in = (layer.channels, size, size), channels * layer.kernel**2
        parts.append(Part(_name_part(len(parts)), layer, fan_in, layer.channels, convolved**2, shape))
        channels = layer.channels
    for width in dense:
        fan_in = _count_entering(parts[-1], average)
        parts.append(Part(_name_part(len(parts)), None, fan_in, width, 1, (width,)))
    return tuple(parts)


def _name_part(number: int) -> str:
    return f"block_{number - 1}" if number else "embedding"


def _count_entering(before: Part, average: bool) -> int:
    """Return the number of units that a layer reads from a state."""
    return before.shape[0] if average and before.layer is not None else math.prod(before.shape)


plugin = Conv
