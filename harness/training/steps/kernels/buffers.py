"""What the kernels' launches hand on to one another: memory, tables for the update, and the sizes of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.batched import adamw
from harness.training.batches import DeviceImages
from harness.training.steps.kernels import amax
from harness.training.steps.kernels.launcher import Launcher
from harness.training.steps.kernels.layout import FlatStorage, Layout
from harness.training.steps.kernels.tiles import Cuts, Tiles
from harness.training.steps.state import TrainingState
from harness.training.steps.supports import ResidualMlp, block_clip, power_of_two, residual_mlp

State = TrainingState[FlatStorage]


@dataclass(frozen=True)
class Shape:
    """The sizes of a cohort's tensors."""

    replicas: int
    seeds: int
    layers: int
    width: int
    inner: int
    classes: int
    features: int
    batch: int

    @classmethod
    def of(cls, state: State, model: ResidualMlp) -> Shape:
        """Read the sizes from a cohort's state."""
        return cls(
            replicas=state.replicas,
            seeds=len(state.seeds),
            layers=model.blocks,
            width=model.width,
            inner=model.width * model.expansion,
            classes=state.dataset.classes,
            features=state.dataset.features,
            batch=state.setup.batch_size,
        )

    @property
    def rows(self) -> dict[str, int]:
        """Options of kernels whose programs hold whole rows of hidden states."""
        return {"D": self.width, "DP": power_of_two(self.width)}

    @property
    def head(self) -> dict[str, int]:
        """Options of kernels whose programs hold all classes."""
        return {"C": self.classes, "CP": power_of_two(self.classes)}


@dataclass(frozen=True)
class Flows:
    """How credit reaches the blocks, replica by replica."""

    through: tuple[bool, ...]
    """Whether gradients flow through the blocks."""
    updated_in_place: tuple[bool, ...]
    """Whether the blocks' weights may be updated as soon as their gradient is known: unclipped, and no block frozen."""

    @classmethod
    def of(cls, state: State, layers: int) -> Flows:
        """Ask the rules of a cohort."""
        # The launches that update blocks behind their gradients cover every block, so none may be frozen.
        frozen = any(f"block_{layer}" in state.frozen for layer in range(layers))
        arms = state.arms()
        through = tuple(arm.rule.backward == "through" for arm in arms)
        unclipped = [block_clip(arm.rule, state.model) is None for arm in arms]
        in_place = tuple(flows and free and not frozen for flows, free in zip(through, unclipped, strict=True))
        return cls(through, in_place)


class Activations:
    """Memory for what a step computes per sample, for all replicas, and for the images of this step and the next."""

    def __init__(self, state: State, shape: Shape, cuts: Cuts, flows: Flows) -> None:
        self.batch = shape.batch
        sizes = numbers_per_sample(shape, cuts, penalised=state.penalty is not None, gradients_flow=any(flows.through))
        self.memory = {name: torch.empty(size * shape.batch, **state.where) for name, size in sizes.items()}
        exact = state.dtype if state.dtype == torch.float64 else torch.bfloat16
        images = shape.seeds * shape.features * shape.batch
        self.images = torch.empty((2, images), device=state.device.torch, dtype=exact)
        self.labels = torch.zeros(
            (2, shape.seeds, shape.batch), device=state.device.torch, dtype=state.train.labels.dtype
        )

    def get(self, name: str, size: int) -> Tensor:
        """Return the buffer of this name, as far as a batch of ``size`` fills it."""
        return self.memory[name][: self.memory[name].numel() // self.batch * size]

    def some(self, size: int, *names: str) -> list[Tensor]:
        """Return the buffers of these names, as far as a batch of ``size`` fills them."""
        return [self.get(name, size) for name in names]

    def inputs(self, size: int, ahead: int) -> tuple[Tensor, Tensor]:
        """Return where a step's images and labels are; those of the next step are elsewhere."""
        images = self.images[ahead % 2]
        return images[: len(images) // self.batch * size], self.labels[ahead % 2]


def numbers_per_sample(shape: Shape, cuts: Cuts, *, penalised: bool, gradients_flow: bool) -> dict[str, int]:
    """Return how many numbers per sample each activation takes."""
    r, layers, d, inner = shape.replicas, shape.layers, shape.width, shape.inner
    return {
        "parts": cuts.tiles.splits * r * d,
        "h": (layers + 1) * r * d,
        "stats": (layers + 1) * r * 2,
        "slopes": layers * r * inner,
        "u": layers * r * inner,
        "f": layers * r * d if penalised else 0,
        "error": r * shape.classes,
        "dhn": r * d,
        "dh": r * d,
        "df": layers * r * d,
        "dz": layers * r * inner,
        "du": r * d if gradients_flow else 0,
        "moments": r * 2 * cuts.column_tiles,
    }


class Gradients:
    """Gradients that are stored, [r, P − skipped], and the partial sums that they are put together from."""

    def __init__(self, state: State, shape: Shape, cuts: Cuts) -> None:
        layout = state.storage.layout
        self.flat = torch.zeros((shape.replicas, layout.size - layout.skipped), **state.where)
        self.squares = torch.zeros((shape.replicas, shape.layers, sum(cuts.square_slots)), **state.where)
        """Sums of squares of parts of a block's gradient, to clip by."""
        self.norm_parts = torch.zeros((shape.layers, shape.replicas, 2, cuts.norm_parts, shape.width), **state.where)
        """Parts of the gradients of a layer norm's gain and shift."""


class UpdateTables:
    """What AdamW needs besides weights, moments and gradients, on the device."""

    def __init__(self, state: State, steps: int) -> None:
        optimizer, layout = state.setup.optimizer, state.storage.layout
        self.state = state
        self.betas = (optimizer.beta1, optimizer.beta2)
        self.constants = adamw.constants(*self.betas, optimizer.eps, state.lr)
        largest = [block_clip(arm.rule, state.model) or math.inf for arm in state.arms()]
        self.largest = torch.tensor(largest, **state.where)
        """Norm that a block's gradient is clipped to, [r]."""
        parts = layout.stored_chunks()
        self.groups = self._integers([_group(name, state.frozen) for name, _ in parts])
        self.chunks = self._integers(list(range(len(parts))))
        others = [i for i, (name, matrix) in enumerate(parts) if not (matrix and name.startswith("block_"))]
        self.others = self._integers(others)
        """Chunks of all but what is updated behind BP's gradients."""
        self.corrections = torch.zeros((steps, 2), **state.where)
        """Bias corrections of the epoch's steps, 1 − β1^t and √(1 − β2^t)."""
        self.tick = torch.zeros((), device=state.device.torch, dtype=torch.int64)
        """Steps of this epoch so far."""

    @property
    def rates(self) -> tuple[Tensor, ...]:
        """Arguments of every kernel that updates."""
        return self.state.lr, self.state.weight_decay, self.corrections, self.tick, self.constants

    def _integers(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self.state.device.torch, dtype=torch.int32)


def _group(name: str, frozen: frozenset[str]) -> int:
    """Return a part of the model as ``triton.update.update`` takes it."""
    if name in frozen:
        return -2
    return int(name.removeprefix("block_")) if name.startswith("block_") else -1


class Workspace:
    """All that a launch reads and writes besides the state."""

    def __init__(self, state: State) -> None:
        model = residual_mlp(state.model)
        assert model is not None
        self.state, self.model = state, model
        self.shape = shape = Shape.of(state, model)
        self.flows = Flows.of(state, shape.layers)
        optimizer = state.setup.optimizer
        steps = -(-state.count // shape.batch)
        self.max_update = adamw.max_update(optimizer.beta1, optimizer.beta2) * steps
        """How far an epoch can move a weight, in units of the rate."""
        self.cuts = cuts = self._cuts()
        self.activations = Activations(state, shape, cuts, self.flows)
        self.gradients = Gradients(state, shape, cuts)
        self.tables = UpdateTables(state, steps)
        self.amax = amax.Amax(shape.layers, shape.replicas, state.where)
        self.centre, *self.pixels = pixel_constants(state.train, state.dataset.size**2)
        on_device: dict[str, Any] = {"device": state.device.torch}
        self.through = torch.tensor([int(flows) for flows in self.flows.through], dtype=torch.int32, **on_device)
        """Whether gradients flow through a replica's blocks, [r]."""
        factor = None if state.penalty is None else state.penalty.gradient_factor
        self.penalty_slope = state.penalty_strength * (factor or 0.0)
        """λ·c, of which times f/N is the penalty's gradient (``Penalty.gradient_factor``), [r]."""
        self.loss = torch.zeros((shape.replicas, cuts.row_tiles), dtype=torch.float64, **on_device)
        self.launch = Launcher()

    def _cuts(self) -> Cuts:
        state, shape = self.state, self.shape
        asked = state.setup.precision
        foreseeable = all(amax.foreseeable(arm.setup.optimizer, self.max_update) for arm in state.arms())
        tiles = Tiles.choose(
            shape.replicas,
            shape.width,
            state.dtype,
            fp16x3_allowed=asked == "float32" and foreseeable,
            blocks_updated_later=not all(self.flows.updated_in_place),
        )
        return Cuts.of(
            tiles,
            asked,
            width=shape.width,
            inner=shape.inner,
            batch=shape.batch,
            gradients_flow=any(self.flows.through),
        )

    @property
    def layout(self) -> Layout:
        """Where tensors lie in a replica's row."""
        return self.state.storage.layout

    @property
    def penalised(self) -> bool:
        """Whether some arm has a penalty."""
        return self.state.penalty is not None

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Replicas, length of a row, beginning of the first block, distance of two blocks."""
        layout = self.layout
        return self.shape.replicas, layout.size, layout.blocks, layout.block_stride

    def head_norm(self) -> tuple[int, int]:
        """Return where the terminal norm begins; anything where there is none."""
        if not self.model.terminal_norm:
            return 0, 0
        return self.layout.at("head.norm.weight"), self.layout.at("head.norm.bias")


def pixel_constants(images: DeviceImages, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre, factor and offset of every feature: normalised = factor·(pixel − centre) + offset.

    The centre is a whole number. A pixel is at most 255, and so is the centre: the mean pixel, rounded, so that at most
    half a pixel is left for the offset of any data set whose mean is one that pixels can have.
    """
    factor, shift = images.factor.double(), images.shift.double()
    centre = (-shift / factor).round().clamp(0, 255)
    kind = images.factor.dtype
    constants = (centre, factor, shift + factor * centre)
    return tuple(value.flatten().repeat_interleave(pixels).to(kind) for value in constants)  # type: ignore[return-value]
