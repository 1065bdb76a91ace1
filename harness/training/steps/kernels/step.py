"""A step of residual MLPs under BP and DFA as a few Triton kernels, for all replicas of all rules at once.

What differs between the rules is what flows backward, and whether the blocks' update waits for a norm to clip by.
Images, embedding and ends are the same launches for all; the forward pass is the same kernels, in a branch per lane.
The plain step in ``harness.training.steps.autograd`` is the twin that tests compare this one with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from harness.batched import adamw
from harness.batched.layers import LAYER_NORM_EPS
from harness.batched.specs import TensorSpec
from harness.models.residual_mlp import ResidualMlp
from harness.records.plan import power_of_two
from harness.rules.bp import Bp
from harness.rules.dfa import Dfa
from harness.training.steps.kernels import amax as peaks

if TYPE_CHECKING:
    from harness.training.batches import DeviceImages
    from harness.training.program import Program, Share

CHUNK = 1024
"""Weights per program of the flat update; every part of the model begins at a multiple of it."""
PRECISIONS = {"float32": "tf32x3", "tf32": "tf32", "float64": "ieee"}
"""Precision in the file → how Triton multiplies; others take the plain step. Three TF32 products make one that is
nearer to float64 than float32's own (benchmarks/notes.md), so float32 stays strict."""
PARTED = {"float32": "bf16x6", "tf32": "bf16x3"}
"""The same for factors split into three parts of bfloat16, six of whose products count, or two, which is 16 bits where
TF32 has 11. As much work, but faster on operands that lie transposed, which TF32 products must turn round first."""
HEAD_ROWS = 16  # samples per program where a program holds whole rows
VECTOR_COLUMNS = 32  # columns per program where sums run over samples
COMPILERS = 8  # kernels compiled at a time
LANES = 3
"""Parts of a cohort whose samples go there and back beside one another; more of them only make more launches."""
FIRST, LAST = -1, 0
"""Priorities of streams. Updates wait for memory, products for multiprocessors: where updates take what products leave
free, both run at a time."""


@dataclass(frozen=True)
class Layout:
    """Where each tensor of a replica begins in its row of a flat tensor."""

    offsets: dict[str, int]
    groups: tuple[str, ...]
    """The part of the model that each chunk of CHUNK numbers belongs to."""
    matrices: tuple[bool, ...]
    """Whether each chunk holds matrices, not vectors."""
    skipped: int
    """Where the gradients' own flat tensor begins: behind the embedding's weight, whose gradient is never stored."""

    @property
    def size(self) -> int:
        """Numbers per replica, padding included."""
        return len(self.groups) * CHUNK

    @classmethod
    def of(cls, specs: tuple[TensorSpec, ...]) -> Layout:
        """The embedding's weight, then each part's vectors and its matrices, all from the beginning of a chunk."""
        sections: dict[tuple[str, bool], list[TensorSpec]] = {}
        for spec in specs:
            group = "" if spec.name == "embedding.weight" else spec.group
            sections.setdefault((group, len(spec.shape) > 1), []).append(spec)
        offsets: dict[str, int] = {}
        groups: list[str] = []
        matrices: list[bool] = []
        skipped = 0
        for (name, matrix), section in sections.items():
            at = len(groups) * CHUNK
            for spec in section:
                offsets[spec.name] = at
                at += math.prod(spec.shape)
            groups += [section[0].group] * (-(-at // CHUNK) - len(groups))
            matrices += [matrix] * (len(groups) - len(matrices))
            skipped = skipped if name else len(groups) * CHUNK
        return cls(offsets, tuple(groups), tuple(matrices), skipped)


class Storage:
    """Weights and moments of all replicas, [r, P] each, and views of the weights by name."""

    def __init__(self, specs: tuple[TensorSpec, ...], replicas: int, where: Mapping[str, Any]) -> None:
        self.layout = Layout.of(specs)
        self.weights, self.first, self.second = (torch.zeros((replicas, self.layout.size), **where) for _ in range(3))
        self.specs = {spec.name: spec for spec in specs}

    def view(self, flat: Tensor, name: str) -> Tensor:
        """One tensor of all replicas, [r, …]."""
        shape, at = self.specs[name].shape, self.layout.offsets[name]
        return flat[:, at : at + math.prod(shape)].view(-1, *shape)


@dataclass(frozen=True)
class Tile:
    """How a product is cut: rows × columns per program, in steps of ``depth``, by ``warps`` × 32 threads."""

    rows: int
    columns: int
    depth: int
    warps: int = 4
    stages: int = 3
    parted: bool = False
    """Factors in parts of bfloat16, see ``PARTED``."""

    def grid(self, rows: int, columns: int) -> int:
        """Programs for a matrix."""
        return -(-rows // self.rows) * -(-columns // self.columns)

    def options(self, precision: str) -> dict[str, Any]:
        """For a launch, where the file asks for ``precision``."""
        return {
            "PRECISION": PARTED.get(precision, "ieee") if self.parted else PRECISIONS[precision],
            "BM": self.rows,
            "BN": self.columns,
            "BK": self.depth,
            "num_warps": self.warps,
            "num_stages": self.stages,
        }


@dataclass(frozen=True)
class Tiles:
    """The cuts of a cohort's products. They follow from the plan alone, so that sums always run in the same order."""

    embed: Tile
    splits: int
    """Parts of the embedding's sum over features."""
    norm: Tile
    """Layer norm and first product of a block."""
    block: Tile
    """Activation and second product."""
    back: Tile
    gradient: Tile
    step: Tile
    """The same with the blocks' update behind it: of BP, which does not wait for a norm to clip by, in all but small
    cohorts."""
    embed_update: Tile
    halves: bool
    """Blocks multiply in parts of float16, see ``amax``; other ways to float32 and TF32 are faster in other cuts."""
    few: bool
    """A small cohort waits for launches, not for products: it takes float32's products even where TF32 is allowed."""
    lanes: int
    """Parts of the replicas, at least one for each rule, whose samples go there and back beside one another: what one
    reads, another multiplies. In a small cohort only the way back is apart."""
    early: bool
    """The embedding is updated as soon as its gradient is known, beside what is still sent back and the blocks'
    gradients. Larger launches only get into each other's way; where the update of blocks comes later than their
    gradients, it runs beside the products with images, which then take a cut that leaves it registers."""

    @classmethod
    def choose(cls, replicas: int, width: int, dtype: torch.dtype, halves: bool, later: bool) -> Tiles:
        """Measured on an H100, see benchmarks/notes.md: enough programs for 132 multiprocessors, then larger ones.

        Registers do not hold the larger ones' numbers of eight bytes. ``halves``: parts of float16 may be had;
        ``later``: the update of some blocks, as DFA's, comes later than their gradients.
        """
        few = replicas * width < 8 * 256 or dtype == torch.float64
        early = replicas * width < 48 * 256
        embed = Tile(64, 32, 32) if few else Tile(128, 64, 32 if later and not early else 64, stages=2)
        return cls(
            embed=embed,
            splits=max(1, min(24, 264 // (embed.grid(128, width) * replicas))),
            norm=Tile(16, 32, 64) if few else Tile(64, 64 if early else 128, 32) if halves else Tile(32, 128, 32),
            block=Tile(16, 32, 32) if few else Tile(64, 64, 32, parted=True),
            back=Tile(16, 32, 64) if few else Tile(64, 64, 32),
            gradient=Tile(32, 64, 32) if few else Tile(64, 128, 32) if halves else Tile(128, 64, 32, parted=True),
            step=Tile(32 if halves else 64, 64, 32, parted=True),
            embed_update=Tile(32, 64, 32) if few else Tile(64, 32, 128, stages=1, parted=True),
            halves=halves and not few,
            few=few,
            lanes=1 if early else LANES,
            early=early,
        )


@dataclass(frozen=True)
class Lane:
    """Neighbouring replicas of one rule whose samples go there and back beside the others'."""

    share: Share
    replicas: range

    @classmethod
    def cut(cls, share: Share, lanes: int) -> list[Lane]:
        """A share in so many parts, if it has as many replicas, as equal as can be."""
        first, stop = share.replicas.start, share.replicas.stop
        lanes = min(lanes, stop - first)
        ends = [first + (stop - first) * part // lanes for part in range(lanes + 1)]
        return [cls(share, range(*pair)) for pair in pairwise(ends)]


@dataclass(frozen=True)
class Branch:
    """A stream of launches; on a processor, where launches are calls, nothing but a name."""

    stream: Any

    @classmethod
    def current(cls, is_cuda: bool) -> Branch:
        """The branch that launches go to now."""
        return cls(torch.cuda.current_stream() if is_cuda else None)

    @contextmanager
    def beside(self, priority: int = FIRST) -> Iterator[Branch]:
        """A branch that begins after what was launched in this one so far, and runs beside what comes."""
        if self.stream is None:
            yield self
            return
        stream = torch.cuda.Stream(priority=priority)  # type: ignore[no-untyped-call]
        stream.wait_stream(self.stream)
        with torch.cuda.stream(stream):
            yield Branch(stream)

    def mark(self) -> Any:
        """What was launched in this branch so far, for others to ``join``."""
        return None if self.stream is None else self.stream.record_event()

    def join(self, marks: Iterable[Any]) -> None:
        """Let what comes in this branch wait for what was launched elsewhere before these marks."""
        for mark in marks:
            if self.stream is not None:
                self.stream.wait_event(mark)


class Fused:
    """The launches of a program's step, and what they hand on to one another."""

    divisible = False
    """Whether a checkpoint can hold what is between two steps of an epoch."""

    def __init__(self, program: Program, storage: Storage) -> None:
        model = program.model
        assert isinstance(model, ResidualMlp)
        self.program, self.storage, self.model = program, storage, model
        self.replicas, self.layers = len(program.cohort.replicas), model.blocks
        self.width, self.inner = model.width, model.width * model.expansion
        self.classes, self.features = program.dataset.classes, program.dataset.features
        self.where: dict[str, Any] = {"device": program.device.torch, "dtype": program.dtype}
        batch = program.setup.batch_size
        self.betas = (program.setup.optimizer.beta1, program.setup.optimizer.beta2)
        steps = -(-program.count // batch)
        self.farthest = adamw.farthest(*self.betas) * steps
        """How far an epoch can move a weight, in units of the rate."""
        asked = program.setup.precision
        arms = [program.cohort.arms[replica.arm] for replica in program.cohort.replicas]
        halves = asked == "float32" and all(peaks.foreseeable(arm.setup.optimizer, self.farthest) for arm in arms)
        # BP's blocks wait for no norm; but the launches that update them cover every block, so none may be frozen.
        frozen = any(f"block_{layer}" in program.frozen for layer in range(self.layers))
        unclipped = [isinstance(arm.rule, Bp) and not frozen for arm in arms]
        self.tiles = Tiles.choose(self.replicas, self.width, program.dtype, halves, not all(unclipped))
        self.precision = "float32" if self.tiles.few and asked == "tf32" else asked
        self.memory = {name: torch.empty(size * batch, **self.where) for name, size in self._sizes().items()}
        exact = program.dtype if program.dtype == torch.float64 else torch.bfloat16
        images = len(program.seeds) * self.features * batch
        self.images = torch.empty((2, images), device=program.device.torch, dtype=exact)
        self.centre, *self.pixels = pixel_constants(program.train, program.dataset.size**2)
        layout = storage.layout
        self.gradient = torch.zeros((self.replicas, layout.size - layout.skipped), **self.where)
        self.slots = self._slots()
        self.squares = torch.zeros((self.replicas, self.layers, sum(self.slots)), **self.where)
        self.partial = torch.zeros((self.layers, self.replicas, 2, self._norm_parts, self.width), **self.where)
        self.labels = torch.zeros(
            (2, len(program.seeds), batch), device=program.device.torch, dtype=program.train.labels.dtype
        )
        self.constants = adamw.constants(*self.betas, program.setup.optimizer.eps, program.strength)
        self.flows = self._integers([int(isinstance(arm.rule, Bp)) for arm in arms])
        largest = [arm.rule.clip if isinstance(arm.rule, Dfa) and arm.rule.clip else math.inf for arm in arms]
        self.largest = torch.tensor(largest, **self.where)
        skipped = layout.skipped // CHUNK
        parts = list(zip(layout.groups[skipped:], layout.matrices[skipped:], strict=True))
        self.groups = self._integers([self._group(name) for name, _ in parts])
        self.chunks = self._integers(list(range(len(parts))))
        others = [i for i, (name, matrix) in enumerate(parts) if not (matrix and name.startswith("block_"))]
        self.others = self._integers(others)  # all but what is updated behind BP's gradients
        self.corrections = torch.zeros((steps, 2), **self.where)
        self.tick = torch.zeros((), device=program.device.torch, dtype=torch.int64)
        self.loss = torch.zeros((self.replicas, self._row_tiles), device=program.device.torch, dtype=torch.float64)
        self.spans = self._spans()
        self.stepped, self.stored = self._kinds(unclipped)
        each = max(1, self.tiles.lanes // len(program.shares))
        self.lanes = [lane for share in program.shares for lane in Lane.cut(share, each)]
        self.together = self.tiles.few or len(program.shares) > LANES
        """Whether the forward pass is one launch for all."""
        self.peaks = peaks.Peaks(self.layers, self.replicas, self.where)
        self.unfinished: list[Any] = []  # marks behind the last launch's updates, block by block
        self.fetched: list[Any] = []  # the mark behind the next launch's images
        self._compiled: list[Any] | None = None  # a list while kernels are compiled, not launched
        self.feedback: dict[int, Tensor] = {}
        for share in program.shares:
            if share.feedback:
                stacked = torch.stack(list(share.feedback.values()))
                share.feedback.update(zip(share.feedback, stacked, strict=True))  # one tensor [l, r, …] from here on
                self.feedback[share.replicas.start] = stacked

    def _integers(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self.program.device.torch, dtype=torch.int32)

    def _group(self, name: str) -> int:
        """As ``kernels.update.update`` takes it."""
        if name in self.program.frozen:
            return -2
        return int(name.removeprefix("block_")) if name.startswith("block_") else -1

    def _spans(self) -> list[range]:
        """Chunks of the gradients' flat tensor that each block's forward pass waits for: its own.

        And the embedding's bias with the first, the head with the last. All at once in a small cohort, where a launch
        costs more than waiting.
        """
        parts = self.storage.layout.groups[self.storage.layout.skipped // CHUNK :]
        if self.tiles.few:
            return [range(len(parts))]
        begins = [0, *(parts.index(f"block_{layer}") for layer in range(1, self.layers)), len(parts)]
        return [range(*pair) for pair in pairwise(begins)]

    def _sizes(self) -> dict[str, int]:
        """Numbers per sample that each activation takes."""
        r, layers, d, inner = self.replicas, self.layers, self.width, self.inner
        splits = self.tiles.splits
        return {
            "parts": splits * r * d,
            "h": (layers + 1) * r * d,
            "stats": (layers + 1) * r * 2,
            "slopes": layers * r * inner,
            "u": layers * r * inner,
            "f": layers * r * d if self.program.penalty is not None else 0,
            "error": r * self.classes,
            "dhn": r * d,
            "dh": r * d,
            "df": layers * r * d,
            "dz": layers * r * inner,
            "du": r * d if self._flowing else 0,
            "moments": r * 2 * self._parts,
        }

    @property
    def _parts(self) -> int:
        """Column tiles that write a row of hidden states."""
        return -(-self.width // self.tiles.block.columns)

    @property
    def _row_tiles(self) -> int:
        """Programs for the rows of a full batch."""
        return -(-self.program.setup.batch_size // HEAD_ROWS)

    @property
    def _norm_parts(self) -> int:
        """Parts that a layer norm's gradients come in: row tiles from BP, column tiles from W1's gradient elsewhere."""
        columns = -(-self.inner // self.tiles.gradient.columns)
        return max(columns, self._row_tiles) if self._flowing else columns

    @property
    def _flowing(self) -> bool:
        """Whether gradients flow through the blocks of any replica."""
        return any(isinstance(share.rule, Bp) for share in self.program.shares)

    def _kinds(self, unclipped: list[bool]) -> tuple[list[range], list[range]]:
        """Replicas whose blocks' weights are updated as soon as their gradient is known, and the others."""
        kinds: dict[bool, list[range]] = {True: [], False: []}
        at_once = [free and not self.tiles.few for free in unclipped]
        for kind, neighbours in groupby(range(self.replicas), key=at_once.__getitem__):
            own = list(neighbours)
            kinds[kind].append(range(own[0], own[-1] + 1))
        return kinds[True], kinds[False]

    def _slots(self) -> tuple[int, int, int]:
        """Sums of squares that a block's three kinds of gradient leave behind."""
        tile = self.tiles.gradient
        return (
            tile.grid(self.width, self.inner),
            tile.grid(self.inner, self.width),
            -(-self.width // VECTOR_COLUMNS),
        )

    # Running --------------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int) -> None:
        """Bias corrections of the epoch's steps, 1 − β1^t and √(1 − β2^t); the loss from nothing."""
        count = len(self.corrections)
        t = np.arange(epoch * count + 1, (epoch + 1) * count + 1, dtype=np.float64)
        beta1, beta2 = self.betas
        table = np.stack([1.0 - beta1**t, np.sqrt(1.0 - beta2**t)], axis=1)
        self.corrections.copy_(torch.from_numpy(table))
        self.tick.zero_()
        self.loss.zero_()
        if self.tiles.halves:
            names = ("norm.weight", "norm.bias", "w1.weight", "w2.weight")
            self.peaks.foresee({name: self._of_blocks(name) for name in names}, self.farthest * self.program.lr)

    def _of_blocks(self, name: str) -> Tensor:
        """A tensor of all blocks' weights, [l, r, numbers]."""
        r, stride, blocks, apart = self._place
        shape = (self.layers, r, math.prod(self.storage.specs[f"block_0.{name}"].shape))
        return self.storage.weights.as_strided(shape, (apart, stride, 1), blocks + self._at(name))

    def advance(self, size: int, steps: int) -> None:
        """After ``steps`` launches of batches of ``size``."""
        self.wait()
        self.program.cursor += size * steps
        self.tick += steps

    def end_epoch(self) -> None:
        """Hand the loss and the number of steps to the program."""
        self.program.loss_sum.copy_(self.loss.sum(-1))
        self.program.steps += len(self.corrections)

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """One step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor.

        ``more``: another step follows, whose images are fetched beside this one. The update of everything but the
        embedding's weight may still run when it returns; see ``wait``.
        """
        blocks = any(f"block_{layer}" not in self.program.frozen for layer in range(self.layers))
        bottom = "embedding" not in self.program.frozen
        here = Branch.current(self.program.device.is_cuda)
        if ahead == 0:
            self._fetch(size, ahead)
        here.join(self.fetched)
        self._embed(size, ahead)
        if more:
            with here.beside(LAST) as images:
                self._fetch(size, ahead + 1)
            self.fetched = [images.mark()]
        self._begin(size)
        if self.together:
            self._forward(size, ahead, range(self.replicas))
        sent, updated = [], []
        for lane in self.lanes:  # what happens to one's samples is independent, and so are the embedding's updates
            with here.beside() as back:
                if not self.together:
                    self._forward(size, ahead, lane.replicas)
                if isinstance(lane.share.rule, Dfa):
                    self._feed_back(size, lane)
                elif blocks or bottom:
                    self._flow_back(size, lane)
                if bottom and self.tiles.early:
                    with back.beside(LAST) as update:
                        self._update_embedding(size, lane.replicas, ahead)
                    updated.append(update.mark())
                if isinstance(lane.share.rule, Dfa) and blocks:
                    self._through_branch(size, 0, self.layers, lane)
            sent.append(back.mark())
        self.unfinished = []
        here.join(sent)
        # Only the update waits for the ends, so the gradients go first; but where the embedding's update is queued
        # already, at the priority of LAST, the ends would wait for all of it.
        with here.beside(FIRST if self.tiles.early else LAST) as ends:
            self._ends(size)
        if blocks:
            self._gradients(size, ahead)
        with here.beside() as vectors:
            if blocks:
                self._norm_vectors()
        if bottom and not self.tiles.early:
            self._update_embedding(size, range(self.replicas), ahead)
        with here.beside(LAST) as last:
            last.join([ends.mark(), vectors.mark()])
            for replicas in self.stepped:
                self._update(ahead, self.others, replicas)
            for span in self.spans:
                for replicas in self.stored:
                    self._update(ahead, self.chunks[span.start : span.stop], replicas)
                self.unfinished.append(last.mark())
        here.join(updated)

    def wait(self) -> None:
        """Let what comes wait for all of the last launch, whose update may run beside the next one's first products."""
        Branch.current(self.program.device.is_cuda).join([*self.unfinished, *self.fetched])
        self.unfinished, self.fetched = [], []

    def compile(self) -> None:
        """Compile all kernels beforehand, several at a time; what was compiled earlier comes from Triton's cache.

        And what launches them, which Triton has compiled too, by the C compiler: one after the other as they are first
        launched, that took longer than the kernels.
        """
        from triton import AsyncCompileMode, FutureKernel

        device = self.program.device.torch
        with ThreadPoolExecutor(COMPILERS, initializer=torch.cuda.set_device, initargs=(device,)) as pool:
            self._compiled = []
            with AsyncCompileMode(pool):
                self.launch(self.program.setup.batch_size)
                self.wait()
            finished = [kernel.result() if isinstance(kernel, FutureKernel) else kernel for kernel in self._compiled]
            self._compiled = None
            list(pool.map(make_launcher, {id(kernel): kernel for kernel in finished}.values()))

    def _go(self, kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        """Launch a kernel, or have it compiled for these arguments."""
        if self._compiled is None:
            kernel[grid](*arguments, **options)
        else:
            self._compiled.append(kernel.warmup(*arguments, grid=grid, **options))

    def _buffer(self, name: str, size: int) -> Tensor:
        return self.memory[name][: self.memory[name].numel() // self.program.setup.batch_size * size]

    def _buffers(self, size: int, *names: str) -> list[Tensor]:
        return [self._buffer(name, size) for name in names]

    @property
    def _shape(self) -> dict[str, int]:
        return {"D": self.width, "DP": power_of_two(self.width)}

    @property
    def _head(self) -> dict[str, int]:
        return {"C": self.classes, "CP": power_of_two(self.classes)}

    @property
    def _penalised(self) -> bool:
        return self.program.penalty is not None

    @property
    def _asks(self) -> bool:
        """Whether ``update.embed_update`` asks for weights ahead: in NVIDIA's words, for whole tiles of float32."""
        tile, where = self.tiles.embed_update, self.program.device
        whole = self.features % tile.rows == 0 and self.width % tile.columns == 0 and tile.columns % 32 == 0
        return where.is_cuda and torch.version.cuda is not None and self.program.dtype == torch.float32 and whole

    @property
    def _exact(self) -> dict[str, str]:
        return {"PRECISION": PRECISIONS[self.precision]}

    def _cut(self, tile: Tile) -> dict[str, Any]:
        return tile.options(self.precision)

    def _block_cut(self, tile: Tile) -> dict[str, Any]:
        """For the products of blocks."""
        options = tile.options(self.precision)
        return options | ({"PRECISION": peaks.PRODUCT} if self.tiles.halves else {}) | self._scaled

    @property
    def _scaled(self) -> dict[str, bool]:
        return {"SCALED": self.tiles.halves}

    def _at(self, name: str) -> int:
        """Where a tensor begins: in a replica's row, or, for one of a block, behind the block's beginning."""
        offsets = self.storage.layout.offsets
        return offsets[f"block_0.{name}"] - self._blocks if f"block_0.{name}" in offsets else offsets[name]

    @property
    def _blocks(self) -> int:
        return self.storage.layout.offsets["block_0.norm.weight"]

    @property
    def _place(self) -> tuple[int, int, int, int]:
        """Replicas, length of a row, beginning of the first block, distance of two blocks."""
        offsets = self.storage.layout.offsets
        apart = offsets["block_1.norm.weight"] - self._blocks if self.layers > 1 else 0
        return self.replicas, self.storage.layout.size, self._blocks, apart

    def _batch(self, size: int, ahead: int) -> tuple[Tensor, Tensor]:
        """Where a step's images and labels are; those of the next step are elsewhere."""
        images = self.images[ahead % 2]
        return images[: len(images) // self.program.setup.batch_size * size], self.labels[ahead % 2]

    def _fetch(self, size: int, ahead: int) -> None:
        from harness.training.steps.kernels.triton import forward as kernels

        program = self.program
        train, dataset = program.train, program.dataset
        self._go(
            kernels.fetch, (size, len(program.seeds)),
            train.images, train.labels, program.schedule, program.cursor, self.centre, *self._batch(size, ahead),
            ahead * size, program.count,
            N=size, CHANNELS=dataset.channels, SIZE=train.size, STORED=train.images.shape[-1],
            BLOCK=min(1024, power_of_two(self.features)),
        )  # fmt: skip

    def _embed(self, size: int, ahead: int) -> None:
        """The images' products with the embedding's weight, which is all of the weights that this needs."""
        from harness.training.steps.kernels.triton import forward as kernels

        program = self.program
        x, _ = self._batch(size, ahead)
        parts = self._buffer("parts", size)
        tile, splits = self.tiles.embed, self.tiles.splits
        share = -(-self.features // (splits * tile.depth)) * tile.depth
        self._go(
            kernels.embed, (tile.grid(size, self.width), splits, self.replicas),
            x, *self.pixels, program.slots, self.storage.weights, parts, self.replicas, self.storage.layout.size,
            self._at("embedding.weight"),
            N=size, F=self.features, D=self.width, SHARE=share, **self._cut(tile),
        )  # fmt: skip

    def _begin(self, size: int) -> None:
        """The first hidden states, from the embedding's products."""
        from harness.training.steps.kernels.triton import forward as kernels

        parts, h, moments = self._buffers(size, "parts", "h", "moments")
        r, stride, *_ = self._place
        Branch.current(self.program.device.is_cuda).join(self.unfinished[:1])
        self._go(
            kernels.embed_sum, (-(-size // HEAD_ROWS) * self._parts, r),
            parts, self.storage.weights, h, moments, self.peaks.measured, r, stride, self._at("embedding.bias"),
            len(self.peaks.measured),
            N=size, D=self.width, SPLITS=self.tiles.splits, PEAKS=power_of_two(len(self.peaks.measured)), BM=HEAD_ROWS,
            BN=self.tiles.block.columns,
        )  # fmt: skip

    def _forward(self, size: int, ahead: int, replicas: range) -> None:
        """From the first hidden states to the output error; each block waits for its own update only."""
        from harness.training.steps.kernels.triton import forward as kernels

        program, weights, model = self.program, self.storage.weights, self.model
        h, moments, stats, slopes, u, f = self._buffers(size, "h", "moments", "stats", "slopes", "u", "f")
        r, stride, blocks, apart = self._place
        first, count = replicas.start, len(replicas)
        here = Branch.current(program.device.is_cuda)
        for layer in range(self.layers):
            here.join(self.unfinished[layer : layer + 1])
            tile = self.tiles.norm
            self._go(
                kernels.norm_linear, (tile.grid(size, self.inner), 1, count),
                h, moments, stats, weights, slopes, u, self.peaks["normed"], self.peaks["w1"], self.peaks["u"],
                r, stride, blocks, apart, layer, first,
                self._at("norm.weight"), self._at("norm.bias"), self._at("w1.weight"), self._at("w1.bias"),
                N=size, D=self.width, H=self.inner, ACT=model.activation, EPS=LAYER_NORM_EPS,
                PARTS=self._parts, PP=power_of_two(self._parts), WIDE=self.tiles.block.columns,
                **self._block_cut(tile),
            )  # fmt: skip
            tile = self.tiles.block
            self._go(
                kernels.out_linear, (tile.grid(size, self.width), 1, count),
                h, u, f, moments, weights, self.peaks["u"], self.peaks["w2"], r, stride, blocks, apart, layer,
                first, self._at("w2.weight"), self._at("w2.bias"),
                D=self.width, H=self.inner, SKIP=model.skip, KEEP=self._penalised,
                N=size, **self._block_cut(tile),
            )  # fmt: skip
        error, dhn, dh, df = self._buffers(size, "error", "dhn", "dh", "df")
        _, labels = self._batch(size, ahead)
        norm = model.terminal_norm
        self._go(
            kernels.head, (self._row_tiles, count),
            h, stats, f, weights, program.slots, labels, self.flows, program.strength,
            error, dhn, dh, df, self.peaks["df"], self.loss,
            r, stride, self.layers, first, *self._head_norm(), self._at("head.weight"), self._at("head.bias"),
            NORM=norm, PENALTY=self._penalised, EPS=LAYER_NORM_EPS, BM=HEAD_ROWS, N=size, **self._shape, **self._head,
            **self._scaled, **self._exact,
        )  # fmt: skip

    def _head_norm(self) -> tuple[int, int]:
        """Where the terminal norm begins; anything where there is none."""
        return (self._at("head.norm.weight"), self._at("head.norm.bias")) if self.model.terminal_norm else (0, 0)

    def _feed_back(self, size: int, lane: Lane) -> None:
        """DFA: every block gets its own projection of the error, all blocks at once."""
        from harness.training.steps.kernels.triton import backward as kernels

        error, f, df, dh = self._buffers(size, "error", "f", "df", "dh")
        own = lane.share.replicas
        self._go(
            kernels.credit, (-(-size // HEAD_ROWS), self.layers, len(lane.replicas)),
            error, self.feedback[own.start], f, self.program.strength, df, dh, self.peaks["df"], self.replicas,
            lane.replicas.start, own.start, own.stop - own.start,
            N=size, PENALTY=self._penalised, BM=HEAD_ROWS, **self._shape, **self._head, **self._scaled,
            **self._exact,
        )  # fmt: skip

    def _flow_back(self, size: int, lane: Lane) -> None:
        """BP: from the last block down."""
        from harness.training.steps.kernels.triton import backward as kernels

        du, h, stats, f, dh, df = self._buffers(size, "du", "h", "stats", "f", "dh", "df")
        r, stride, blocks, apart = self._place
        for layer in reversed(range(self.layers)):
            self._through_branch(size, layer, 1, lane)
            self._through_first(size, layer, lane)
            self._go(
                kernels.back_norm, (self._row_tiles, len(lane.replicas)),
                du, h, stats, f, self.storage.weights, self.program.strength, dh, df, self.peaks["df"], self.partial,
                r, stride, blocks, apart, layer, lane.replicas.start, self._at("norm.weight"),
                N=size, PARTS=self._norm_parts, SKIP=self.model.skip, PENALTY=self._penalised, BM=HEAD_ROWS,
                **self._shape, **self._scaled,
            )  # fmt: skip

    def _through_branch(self, size: int, layer: int, layers: int, lane: Lane) -> None:
        """From a branch's output back to its first product's output, for ``layers`` blocks at once."""
        self._back(size, layer, layers, lane, "df", "dz", "w2", IN=self.inner, OUT=self.width, SLOPE=True)

    def _through_first(self, size: int, layer: int, lane: Lane) -> None:
        """From there to the output of the block's layer norm: only where gradients flow on below."""
        self._back(size, layer, 1, lane, "dz", "du", "w1", IN=self.width, OUT=self.inner, SLOPE=False)

    def _back(
        self, size: int, layer: int, layers: int, lane: Lane, out: str, into: str, weight: str, **shape: int
    ) -> None:
        from harness.training.steps.kernels.triton import backward as kernels

        dout, slopes, din = self._buffers(size, out, "slopes", into)
        tile = self.tiles.back
        apart = self.replicas if shape["SLOPE"] else 0
        self._go(
            kernels.back_linear, (tile.grid(size, shape["IN"]), layers, len(lane.replicas)),
            dout, self.storage.weights, slopes, din, self.peaks[out], self.peaks[weight], self.peaks["dz"], apart,
            *self._place, layer, lane.replicas.start, self._at(f"{weight}.weight"),
            N=size, **shape, **self._block_cut(tile),
        )  # fmt: skip

    def _gradients(self, size: int, ahead: int) -> None:
        """Gradients of the blocks' weights and biases; where nothing is to be clipped, the weights' update too."""
        for replicas in self.stepped:
            self._products(size, ahead, replicas, True)
        for replicas in self.stored:
            self._products(size, ahead, replicas, False)

    def _products(self, size: int, ahead: int, replicas: range, step: bool) -> None:
        from harness.training.steps.kernels.triton import backward as kernels

        storage, gradient = self.storage, self.gradient
        h, stats, u, df, dz = self._buffers(size, "h", "stats", "u", "df", "dz")
        r, stride, first, apart = self._place
        skipped, own = storage.layout.skipped, gradient.shape[1]
        place = (r, stride, own, first, apart, skipped, self._at("norm.weight"), self._at("norm.bias"))
        kept = (storage.weights, storage.first, storage.second, gradient, self.squares, self.partial, self.flows)
        tile = self.tiles.step if step else self.tiles.gradient
        count, slots = len(replicas), sum(self.slots)
        common = {
            "N": size, "BATCH": self.program.setup.batch_size, "PARTS": self._norm_parts, "STEP": step,
            **self._block_cut(tile),
        }  # fmt: skip
        self._go(
            kernels.weight_gradient, (tile.grid(self.width, self.inner), self.layers, count),
            h, stats, dz, self.peaks["unit"], self.peaks["dz"], *kept, *self._rates(), *place,
            self._at("w1.weight"), self._at("w1.bias"), slots, 0, replicas.start, ahead,
            IN=self.width, OUT=self.inner, NORM=True, **common,
        )  # fmt: skip
        self._go(
            kernels.weight_gradient, (tile.grid(self.inner, self.width), self.layers, count),
            u, stats, df, self.peaks["u"], self.peaks["df"], *kept, *self._rates(), *place,
            self._at("w2.weight"), self._at("w2.bias"), slots, self.slots[0], replicas.start, ahead,
            IN=self.inner, OUT=self.width, NORM=False, **common,
        )  # fmt: skip

    def _norm_vectors(self) -> None:
        """Gradients of the blocks' layer norms, put together from their parts."""
        from harness.training.steps.kernels.triton import backward as kernels

        r, _, first, apart = self._place
        *products, own = self.slots
        self._go(
            kernels.norm_vectors, (own, self.layers, r),
            self.partial, self.gradient, self.squares, r, self.gradient.shape[1], first, apart,
            self.storage.layout.skipped, self._at("norm.weight"), self._at("norm.bias"), sum(self.slots), sum(products),
            D=self.width, PARTS=self._norm_parts, BN=VECTOR_COLUMNS,
        )  # fmt: skip

    def _ends(self, size: int) -> None:
        """Gradients of the embedding's bias and of the head."""
        from harness.training.steps.kernels.triton import backward as kernels

        gradient, layout = self.gradient, self.storage.layout
        h, stats, error, dhn, dh = self._buffers(size, "h", "stats", "error", "dhn", "dh")
        self._go(
            kernels.end_vectors, (-(-self.width // VECTOR_COLUMNS), self.replicas),
            h, stats, self.storage.weights, error, dhn, dh, gradient, self.replicas, layout.size, gradient.shape[1],
            layout.skipped, self.layers,
            self._at("embedding.bias"), *self._head_norm(), self._at("head.weight"), self._at("head.bias"),
            N=size, BATCH=self.program.setup.batch_size, D=self.width, NORM=self.model.terminal_norm,
            BN=VECTOR_COLUMNS, BK=32, **self._head, **self._exact,
        )  # fmt: skip

    def _rates(self) -> tuple[Tensor, ...]:
        return self.program.lr, self.program.weight_decay, self.corrections, self.tick, self.constants

    def _update_embedding(self, size: int, replicas: range, ahead: int) -> None:
        from harness.training.steps.kernels.triton import update as kernels

        x, _ = self._batch(size, ahead)
        dh = self._buffer("dh", size)
        storage, tile = self.storage, self.tiles.embed_update
        self._go(
            kernels.embed_update, (tile.grid(self.features, self.width), len(replicas)),
            x, *self.pixels, self.program.slots, dh, storage.weights, storage.first, storage.second, *self._rates(),
            storage.layout.size, self._at("embedding.weight"), replicas.start, ahead,
            N=size, BATCH=self.program.setup.batch_size, F=self.features, D=self.width, ASK=self._asks,
            **self._cut(tile),
        )  # fmt: skip

    def _update(self, ahead: int, chunks: Tensor, replicas: range) -> None:
        from harness.training.steps.kernels.triton import update as kernels

        storage, layout = self.storage, self.storage.layout
        self._go(
            kernels.update, (len(chunks), len(replicas)),
            storage.weights, storage.first, storage.second, self.gradient, self.squares, self.largest, *self._rates(),
            self.groups, chunks, layout.size, self.gradient.shape[1], layout.skipped, sum(self.slots), self.layers,
            replicas.start, ahead, SLOTS=power_of_two(sum(self.slots)), BLOCK=CHUNK,
        )  # fmt: skip


def make_launcher(kernel: Any) -> None:
    """Have Triton compile and load what launches a compiled kernel, which it does when that is first asked for."""
    _ = kernel.run


def pixel_constants(images: DeviceImages, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Centre, factor and offset of every feature: normalised = factor·(pixel − centre) + offset, centre a whole number.

    A pixel is at most 255, and so is the centre: the mean pixel, rounded, so that at most half a pixel is left for the
    offset of any data set whose mean is one that pixels can have.
    """
    factor, shift = images.factor.double(), images.shift.double()
    centre = (-shift / factor).round().clamp(0, 255)
    kind = images.factor.dtype
    constants = (centre, factor, shift + factor * centre)
    return tuple(value.flatten().repeat_interleave(pixels).to(kind) for value in constants)  # type: ignore[return-value]
