"""The memory that the kernels' launches share, the tables of the update, and the sizes of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.batched import adamw
from harness.penalties import find_gradient_factor
from harness.rules import find_backward
from harness.training.batches import DeviceImages
from harness.training.steps.credit import read_credit
from harness.training.steps.kernels import amax
from harness.training.steps.kernels.launcher import Launcher
from harness.training.steps.kernels.layout import FlatStorage, Layout
from harness.training.steps.kernels.tiles import Cuts, Tiles
from harness.training.steps.state import RuleGroup, TrainingState
from harness.training.steps.supports import ResidualMlp, as_adamw, as_residual_mlp, find_block_clip, next_power_of_two

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
    def from_state(cls, state: State, model: ResidualMlp) -> Shape:
        """Read the sizes from a cohort's state."""
        return cls(
            replicas=state.replicas,
            seeds=len(state.seeds),
            layers=model.blocks,
            width=model.width,
            inner=model.width * model.expansion,
            classes=state.classes,
            features=state.dataset.features,
            batch=state.setup.batch_size,
        )

    @property
    def rows(self) -> dict[str, int]:
        """Launch options of kernels whose programs hold whole rows of hidden states."""
        return {"D": self.width, "DP": next_power_of_two(self.width)}

    @property
    def head(self) -> dict[str, int]:
        """Launch options of kernels whose programs hold all classes."""
        return {"C": self.classes, "CP": next_power_of_two(self.classes)}


@dataclass(frozen=True)
class Flows:
    """The paths of credit to the blocks, per replica."""

    gradients_flow: tuple[bool, ...]
    """True where gradients flow through a replica's blocks."""
    updated_in_place: tuple[bool, ...]
    """True where a replica's blocks may be updated by the gradient's kernel: no clipping, and no block frozen."""

    @classmethod
    def from_state(cls, state: State, layers: int) -> Flows:
        """Read the paths from a cohort's rules."""
        # Launches that update blocks in place cover every block, so none may be frozen.
        frozen = any(f"block_{layer}" in state.frozen for layer in range(layers))
        arms = state.arms
        gradients_flow = tuple(find_backward(arm.rule) == "through" for arm in arms)
        unclipped = [find_block_clip(arm.rule, state.model) is None for arm in arms]
        in_place = tuple(
            flowing and free and not frozen for flowing, free in zip(gradients_flow, unclipped, strict=True)
        )
        return cls(gradients_flow, in_place)


class Activations:
    """Memory for a step's values per sample, for all replicas, and for the images of this step and the next."""

    def __init__(self, state: State, shape: Shape, cuts: Cuts, flows: Flows) -> None:
        self.batch = shape.batch
        sizes = count_numbers_per_sample(
            shape, cuts, penalised=state.penalty is not None, gradients_flow=any(flows.gradients_flow)
        )
        self.memory = {name: torch.empty(size * shape.batch, **state.factory_kwargs) for name, size in sizes.items()}
        exact = state.dtype if state.dtype == torch.float64 else torch.bfloat16
        images = shape.seeds * shape.features * shape.batch
        self.images = torch.empty((2, images), device=state.device.torch, dtype=exact)
        self.labels = torch.zeros((2, shape.seeds, shape.batch), device=state.device.torch, dtype=state.labels.dtype)

    def get(self, name: str, size: int) -> Tensor:
        """Return the part of a buffer that a batch of ``size`` fills."""
        return self.memory[name][: self.memory[name].numel() // self.batch * size]

    def get_all(self, size: int, *names: str) -> list[Tensor]:
        """Return the parts of several buffers that a batch of ``size`` fills."""
        return [self.get(name, size) for name in names]

    def inputs(self, size: int, ahead: int) -> tuple[Tensor, Tensor]:
        """Return a step's images and labels; the next step's are in separate memory."""
        images = self.images[ahead % 2]
        return images[: len(images) // self.batch * size], self.labels[ahead % 2]


def count_numbers_per_sample(shape: Shape, cuts: Cuts, *, penalised: bool, gradients_flow: bool) -> dict[str, int]:
    """Return the numbers per sample of each activation buffer."""
    r, layers, d, inner = shape.replicas, shape.layers, shape.width, shape.inner
    return {
        "embed_partials": cuts.tiles.embed_splits * r * d,
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
        "tile_stats": r * 2 * cuts.column_tiles,
    }


class Gradients:
    """Stored gradients, [r, P − gradient_start], and the partial sums that some of them are added up from."""

    def __init__(self, state: State, shape: Shape, cuts: Cuts) -> None:
        layout = state.storage.layout
        self.flat = torch.zeros((shape.replicas, layout.size - layout.gradient_start), **state.factory_kwargs)
        self.square_sums = torch.zeros(
            (shape.replicas, shape.layers, sum(cuts.square_partials)), **state.factory_kwargs
        )
        """Partial sums of squares of each block's gradient, for clipping, [r, l, partial sum]."""
        self.norm_sums = torch.zeros(
            (shape.layers, shape.replicas, 2, cuts.norm_partials, shape.width), **state.factory_kwargs
        )
        """Partial sums of the gradients of a layer norm's gain and shift, [l, r, 2, partial sum, d]."""


class UpdateTables:
    """Inputs of AdamW besides weights, moments and gradients, on the device."""

    def __init__(self, state: State, steps: int) -> None:
        optimizer, layout = as_adamw(state.optimizer), state.storage.layout
        assert optimizer is not None
        self.state = state
        self.betas = (optimizer.beta1, optimizer.beta2)
        self.constants = adamw.constants(*self.betas, optimizer.eps, state.lr)
        max_norms = [find_block_clip(arm.rule, state.model) or math.inf for arm in state.arms]
        self.max_norms = torch.tensor(max_norms, **state.factory_kwargs)
        """Maximum norm of a block's gradient, [r]; infinite where nothing is clipped."""
        stored = layout.list_stored_chunks()
        self.groups = self._integers([_number_group(name, state.frozen) for name, _ in stored])
        self.chunks = self._integers(list(range(len(stored))))
        other_chunks = [i for i, (name, matrix) in enumerate(stored) if not (matrix and name.startswith("block_"))]
        self.other_chunks = self._integers(other_chunks)
        """Chunks that no gradient kernel updates in place."""
        self.corrections = torch.zeros((steps, 2), **state.factory_kwargs)
        """Bias corrections of the epoch's steps, 1 − β1^t and √(1 − β2^t)."""
        self.epoch_step = torch.zeros((), device=state.device.torch, dtype=torch.int64)
        """Number of steps in this epoch so far."""

    @property
    def rates(self) -> tuple[Tensor, ...]:
        """Arguments common to all kernels that update."""
        return self.state.lr, self.state.weight_decay, self.corrections, self.epoch_step, self.constants

    def _integers(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self.state.device.torch, dtype=torch.int32)


def _number_group(name: str, frozen: frozenset[str]) -> int:
    """Return the number by which ``triton.update.update`` knows a parameter group."""
    if name in frozen:
        return -2
    return int(name.removeprefix("block_")) if name.startswith("block_") else -1


class Workspace:
    """All memory that launches read and write besides the state."""

    def __init__(self, state: State) -> None:
        model = as_residual_mlp(state.model)
        assert model is not None
        self.state, self.model = state, model
        self.shape = shape = Shape.from_state(state, model)
        self.flows = Flows.from_state(state, shape.layers)
        optimizer = as_adamw(state.optimizer)
        assert optimizer is not None
        steps = -(-state.count // shape.batch)
        self.max_update = adamw.max_update(optimizer.beta1, optimizer.beta2) * steps
        """Largest distance that an epoch can move a weight, in units of the learning rate."""
        self.cuts = cuts = self._cuts()
        self.activations = Activations(state, shape, cuts, self.flows)
        self.gradients = Gradients(state, shape, cuts)
        self.tables = UpdateTables(state, steps)
        self.amax = amax.Amax(shape.layers, shape.replicas, state.factory_kwargs)
        self.centre, *self.pixels = compute_pixel_constants(state.train, state.dataset.size**2)
        on_device: dict[str, Any] = {"device": state.device.torch}
        self.gradients_flow = torch.tensor(
            [int(flowing) for flowing in self.flows.gradients_flow], dtype=torch.int32, **on_device
        )
        """True where gradients flow through a replica's blocks, [r]."""
        factor = None if state.penalty is None else find_gradient_factor(state.penalty)
        self.penalty_slope = state.penalty_strength * (factor or 0.0)
        """Factor λ·c, [r], which times f/N is the penalty's gradient (``Penalty.gradient_factor``)."""
        self.loss = torch.zeros((shape.replicas, cuts.row_tiles), dtype=torch.float64, **on_device)
        self.matrices = {group.replicas.start: self._find_matrices(group) for group in state.rule_groups}
        """First replica of a rule group → the matrices of its sites, [site, r of the group, c, d]; None under BP."""
        self.launch = Launcher()

    def _find_matrices(self, group: RuleGroup) -> Tensor | None:
        """Return a rule group's matrices as they lie in storage, or memory for those that an epoch computes."""
        credit, shape = read_credit(group), self.shape
        if credit is None:
            return None
        if credit.per_block:
            return self.state.storage.stacked_feedback[group.replicas.start]
        count = group.replicas.stop - group.replicas.start
        return torch.zeros((shape.layers + 1, count, shape.classes, shape.width), **self.state.factory_kwargs)

    def _cuts(self) -> Cuts:
        state, shape = self.state, self.shape
        asked = state.setup.precision
        bounded = all(amax.is_update_bounded(arm.setup.optimizer, self.max_update) for arm in state.arms)
        tiles = Tiles.choose(
            shape.replicas,
            shape.width,
            state.dtype,
            fp16x3_allowed=asked == "float32" and bounded,
            blocks_updated_later=not all(self.flows.updated_in_place),
        )
        return Cuts.count(
            tiles,
            asked,
            width=shape.width,
            inner=shape.inner,
            batch=shape.batch,
            gradients_flow=any(self.flows.gradients_flow),
        )

    @property
    def layout(self) -> Layout:
        """Layout of tensors in a replica's row."""
        return self.state.storage.layout

    @property
    def penalised(self) -> bool:
        """True if any arm has a penalty."""
        return self.state.penalty is not None

    @property
    def addressing(self) -> tuple[int, int, int, int]:
        """Number of replicas, length of a row, offset of the first block, distance between two blocks."""
        layout = self.layout
        return self.shape.replicas, layout.size, layout.blocks_offset, layout.block_stride

    def locate_head_norm(self) -> tuple[int, int]:
        """Return the offsets of the terminal norm's gain and shift; zeros, which no kernel reads, if there is none."""
        if not self.model.terminal_norm:
            return 0, 0
        return self.layout.locate("head.norm.weight"), self.layout.locate("head.norm.bias")


def compute_pixel_constants(images: DeviceImages, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre, factor and offset of every feature: normalised = factor·(pixel − centre) + offset.

    The centre is the mean pixel, rounded to a whole number and limited to 0 … 255, as pixels are. The offset is
    then at most half a pixel for any data set whose mean is a possible pixel.
    """
    factor, shift = images.factor.double(), images.shift.double()
    centre = (-shift / factor).round().clamp(0, 255)
    kind = images.factor.dtype
    constants = (centre, factor, shift + factor * centre)
    return tuple(value.flatten().repeat_interleave(pixels).to(kind) for value in constants)  # type: ignore[return-value]
