"""Residual networks for small images (He et al. 2016, arXiv 1512.03385, section 4.2), ResNet-20 by default.

h_0 = φ(N(x ∗ W));  h_{l+1} = φ(s(h_l) + N(φ(N(h_l ∗ W1)) ∗ W2));  logits = mean(h_L) W + b, with φ = ReLU
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from harness.batched.specs import Init, TensorSpec
from harness.batched.windows import Window
from harness.models import Footprint, Product
from harness.models._images import ImageModel
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor

    from harness.batched.norms import Statistics

KERNEL = 3


class _Layer(NamedTuple):
    """A convolution and the norm after it."""

    name: str
    group: str
    channels: int
    out: int
    window: Window
    size: int
    """Side of what comes out."""
    follows: bool
    """True if another convolution of the same part comes before it."""


class ResidualConv(ImageModel):
    """A residual network of stages, each with twice the channels and half the side of the one before.

    The first convolution is the embedding; each block has two, of 3 × 3 pixels, and a skip connection s. Where a stage
    begins, the first convolution of the block has stride 2, and s takes every second pixel and adds channels of zeros
    (He's option A, without parameters: ResNet-20 on CIFAR-10 has 269,722). Credit acts after each block and after the
    embedding, on every unit. Convolutions have no biases, which norms have.

    Batch norm takes mean and variance of a channel over the samples of a replica's batch and all positions, in
    training. An evaluation takes those of up to 1,024 training images, without augmentation, under the present weights
    (Wu and Johnson 2021, arXiv 2105.07576), in place of running means: what is measured is then a function of the
    weights alone, also of stored ones, and no rule has to say which of its passes a running mean would follow.

    Equation:
        h_0 = φ(N(x ∗ W));  h_{l+1} = φ(s(h_l) + N(φ(N(h_l ∗ W1)) ∗ W2));  logits = mean(h_L) W + b, φ = ReLU

    Source:
        He et al. 2016, arXiv 1512.03385, section 4.2, with shortcuts of option A; statistics of batch norm as in Wu and
        Johnson 2021, arXiv 2105.07576.

    Use:
        To ask whether what a rule does in networks of vectors holds in the standard network for small images.

    Traps:
        Batch norm makes a sample's credit depend on its batch, and ``activity_perturbation`` is refused there: use
        ``norm: group``. An evaluation doesn't use running means, so that accuracies may differ a little from published
        ones. States have several shapes, so that ``credit_cosine`` is not defined; use ``site_cosine``.
    """

    name: Literal["residual_conv"]
    stages: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Unit("channels")] = Field(
        default=(16, 32, 64), min_length=1, max_length=20, examples=[[16, 32, 64]]
    )
    """Channels of each stage."""
    blocks: Annotated[int, Unit("blocks")] = Field(default=3, ge=1, le=1_000)
    """Number of blocks of a stage, n. The network has 2·n convolutions per stage, one before them, and the head: 20
    layers for 3 stages of 3 (default), 56 for 3 of 9."""
    norm: Literal["batch", "group"] = "batch"
    """Norm N. batch (default), as in the source: of a channel over a batch; group: of a group of neighbouring channels
    over one sample, which does not couple samples."""
    norm_groups: Annotated[int, Unit("groups")] = Field(default=8, ge=1, le=65_536)
    """Number of groups of a group norm, which must divide the channels of each stage. Batch norm has none."""
    init: Literal["he", "torch", "xavier"] = "he"
    """Kernels at the beginning. he (default), as in the source: N(0, 2/in); torch: U(±1/√in); xavier:
    U(±√(6/(in + out))). The head is initialised like ``nn.Linear`` in any case, U(±1/√in)."""
    statistics: ClassVar[Mapping[str, Statistics] | None] = None
    """Statistics that batch norms take, by their names; None for those of the batch."""
    noted: ClassVar[dict[str, Statistics] | None] = None
    """Place to note the statistics of a pass in."""

    @model_validator(mode="after")
    def _has_whole_groups(self) -> ResidualConv:
        odd = [channels for channels in self.stages if channels % self.norm_groups]
        if self.norm == "group" and odd:
            raise ValueError(
                f"{self.norm_groups} groups don't divide a stage's {odd[0]} channels: change norm_groups or stages"
            )
        return self

    @property
    def depth(self) -> int:
        """Number of blocks, L."""
        return len(self.stages) * self.blocks

    @property
    def couples_samples(self) -> bool:
        """True with batch norm."""
        return self.norm == "batch"

    def check_image(self) -> None:
        """Compute sizes, which are there for all images: what has one pixel keeps it."""
        _ = self.layers

    def shape(self, layer: int) -> tuple[int, ...]:
        """Return [c, s, s]."""
        last = self.layers[2 * layer]
        return (last.out, last.size, last.size)

    @property
    def footprint(self) -> Footprint:
        """Count what comes out of convolutions and blocks: less with batch norm, which probing finds settled."""
        convolved = [layer.out * layer.size**2 for layer in self.layers]
        states = sum(math.prod(self.shape(layer)) for layer in range(self.depth + 1))
        kept, probed = (25, sum(convolved) // 5) if self.norm == "batch" else (33, sum(convolved))
        trained = kept * sum(convolved) // 8 + states
        return Footprint(trained, 6 * max(convolved), probed + 2 * states, tapped=5 * states // 2)

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return a kernel [c·3·3, out] and the norm's weight and bias for each convolution, then the head's."""
        specs = []
        for layer in self.layers:
            shape, group = (layer.channels * KERNEL**2, layer.out), layer.group
            specs.append(TensorSpec(f"{layer.name}.weight", shape, self._choose_init(layer), group))
            specs.append(TensorSpec(f"{layer.name}.norm.weight", (layer.out,), Init("constant", 1.0), group))
            specs.append(TensorSpec(f"{layer.name}.norm.bias", (layer.out,), Init("constant", 0.0), group))
        own = Init("uniform", 1.0 / math.sqrt(self.stages[-1]))
        specs.append(TensorSpec("head.weight", (self.stages[-1], classes), own, "head"))
        return (*specs, TensorSpec("head.bias", (classes,), own, "head"))

    def products(self, features: int, classes: int) -> tuple[Product, ...]:
        """Return every convolution, of which the second of a block follows the first, and the head."""
        return (
            *(Product(one.group, one.channels * KERNEL**2, one.out, one.follows, one.size**2) for one in self.layers),
            Product("head", self.stages[-1], classes, follows=False),
        )

    def settle(self, p: Mapping[str, Tensor], x: Tensor) -> Self:
        """Return the network with the statistics of inputs x [r, n, i] for its batch norms."""
        if self.norm != "batch":
            return self
        noted: dict[str, Statistics] = {}
        noting = self.model_copy()
        vars(noting)["noted"] = noted
        h = noting.embed(p, x)
        for layer in range(self.depth):
            h = noting.join(h, noting.branch(p, layer, h))
        settled = self.model_copy()
        vars(settled)["statistics"] = noted
        return settled

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return φ(N(x ∗ W)), [r, n, c, s, s]."""
        return self._convolve(p, self.layers[0], self.view_images(x)).relu()

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return N(φ(N(h ∗ W1)) ∗ W2)."""
        first, second = self.layers[2 * layer + 1 : 2 * layer + 3]
        return self._convolve(p, second, self._convolve(p, first, h).relu())

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        """Return φ(s(h) + f)."""
        from torch.nn import functional

        if h.shape[-1] != f.shape[-1]:
            h = h[..., ::2, ::2]
        if h.shape[2] != f.shape[2]:
            h = functional.pad(h, (0, 0, 0, 0, 0, f.shape[2] - h.shape[2]))
        return (h + f).relu()

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return the mean over positions times W, plus b."""
        from harness.batched.convolution import pool_mean
        from harness.batched.layers import linear

        return linear(pool_mean(h), p["head.weight"], p["head.bias"])

    @cached_property
    def layers(self) -> tuple[_Layer, ...]:
        """All convolutions: that of the embedding, then two of each block."""
        channels, size = self.image
        found = [_Layer("embedding", "embedding", channels, self.stages[0], Window(KERNEL, 1, 1), size, False)]
        channels = self.stages[0]
        for block in range(self.depth):
            out, group = self.stages[block // self.blocks], f"block_{block}"
            first = Window(KERNEL, 2 if block and block % self.blocks == 0 else 1, 1)
            size = first.count(size)
            found.append(_Layer(f"{group}.w1", group, channels, out, first, size, False))
            found.append(_Layer(f"{group}.w2", group, out, out, Window(KERNEL, 1, 1), size, True))
            channels = out
        return tuple(found)

    def _choose_init(self, layer: _Layer) -> Init:
        fan_in, fan_out = layer.channels * KERNEL**2, layer.out * KERNEL**2
        if self.init == "he":
            return Init("normal", math.sqrt(2.0 / fan_in))
        spread = 1.0 / fan_in if self.init == "torch" else 6.0 / (fan_in + fan_out)
        return Init("uniform", math.sqrt(spread))

    def _convolve(self, p: Mapping[str, Tensor], layer: _Layer, h: Tensor) -> Tensor:
        """Return N(h ∗ W)."""
        from harness.batched.convolution import convolve
        from harness.batched.norms import batch_norm, group_norm, read_statistics

        weight, bias = p[f"{layer.name}.norm.weight"], p[f"{layer.name}.norm.bias"]
        found = convolve(h, p[f"{layer.name}.weight"], None, layer.window).to(weight.dtype)  # from bf16, to be summed
        if self.norm == "group":
            return group_norm(found, self.norm_groups, weight, bias)
        statistics = read_statistics(found) if self.statistics is None else self.statistics[layer.name]
        if self.noted is not None:
            self.noted[layer.name] = statistics
        return batch_norm(found, statistics, weight, bias)


plugin = ResidualConv
