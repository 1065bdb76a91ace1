"""The tiles that a cohort's products are cut into, and the precision of these products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.training.steps.kernels import amax
from harness.training.steps.kernels.streams import MAX_STREAMS

PRECISIONS = {"float32": "tf32x3", "tf32": "tf32", "float64": "ieee"}
"""Precision in the hypothesis file → Triton's input precision; others take the autograd step. Three TF32 products are
more precise than one float32 product (benchmarks/notes.md), so float32 stays strict."""
SPLIT_PRECISIONS = {"float32": "bf16x6", "tf32": "bf16x3"}
"""Precision in the hypothesis file → Triton's input precision for factors split into bfloat16 parts: three parts, six
of whose products count, or two, which hold 16 bits where TF32 has 11. This is as much work, but faster for transposed
operands, which TF32 products must transpose first."""
HEAD_ROWS = 16  # samples per program in kernels whose programs hold whole rows
VECTOR_COLUMNS = 32  # columns per program in kernels that sum over samples


@dataclass(frozen=True)
class Tile:
    """The tile of a product: rows × columns per program, in steps of ``depth``, by ``warps`` × 32 threads."""

    rows: int
    columns: int
    depth: int
    warps: int = 4
    stages: int = 3
    split_bf16: bool = False
    """True if factors are split into bfloat16 parts, see ``SPLIT_PRECISIONS``."""

    def grid(self, rows: int, columns: int) -> int:
        """Return the number of programs for a matrix."""
        return -(-rows // self.rows) * -(-columns // self.columns)

    def options(self, precision: str) -> dict[str, Any]:
        """Return the launch options for the precision that the hypothesis file asks for."""
        return {
            "PRECISION": SPLIT_PRECISIONS.get(precision, "ieee") if self.split_bf16 else PRECISIONS[precision],
            "BM": self.rows,
            "BN": self.columns,
            "BK": self.depth,
            "num_warps": self.warps,
            "num_stages": self.stages,
        }


@dataclass(frozen=True)
class Tiles:
    """The tiles of a cohort's products, and other choices that depend on its size.

    They follow from the plan alone, so that sums always run in the same order.
    """

    embed: Tile
    embed_splits: int
    """Number of split-K parts of the embedding's sum over features."""
    norm: Tile
    """Layer norm and first product of a block."""
    block: Tile
    """Second product of a block."""
    back: Tile
    """Products that send gradients back through a block."""
    gradient: Tile
    """Weight gradient of a block."""
    step: Tile
    """Weight gradient fused with AdamW; used for BP (no clipping) except in small cohorts."""
    embed_update: Tile
    """Embedding's weight gradient fused with AdamW."""
    use_fp16x3: bool
    """True if blocks multiply in parts of float16, see ``amax``; other products are faster in other precisions."""
    small_cohort: bool
    """True if launches, not products, take the time: float32 products are then used even where TF32 is allowed."""
    lanes: int
    """Number of runs of replicas, at least one per rule, whose passes run on concurrent streams, so that memory access
    of one overlaps products of another. In a small cohort only the backward passes are separate."""
    update_embedding_early: bool
    """True if the embedding is updated as soon as its gradient is known, beside the rest of the backward pass.
    Larger launches would only compete; where the blocks' update comes later than their gradients, it overlaps the
    products with images instead, whose tile then leaves it registers."""

    @classmethod
    def choose(
        cls, replicas: int, width: int, dtype: torch.dtype, *, fp16x3_allowed: bool, blocks_updated_later: bool
    ) -> Tiles:
        """Choose the tiles that were fastest on an H100 (benchmarks/notes.md): enough to fill it, then larger ones.

        float64 takes the small tiles, because the larger ones exceed the registers. ``blocks_updated_later`` tells that
        the update of some blocks comes later than their gradients, as under DFA.
        """
        small = replicas * width < 8 * 256 or dtype == torch.float64
        early = replicas * width < 48 * 256
        fp16x3 = fp16x3_allowed
        embed = Tile(64, 32, 32) if small else Tile(128, 64, 32 if blocks_updated_later and not early else 64, stages=2)
        return cls(
            embed=embed,
            embed_splits=max(1, min(24, 264 // (embed.grid(128, width) * replicas))),
            norm=Tile(16, 32, 64) if small else Tile(64, 64 if early else 128, 32) if fp16x3 else Tile(32, 128, 32),
            block=Tile(16, 32, 32) if small else Tile(64, 64, 32, split_bf16=True),
            back=Tile(16, 32, 64) if small else Tile(64, 64, 32),
            gradient=Tile(32, 64, 32) if small else Tile(64, 128, 32) if fp16x3 else Tile(128, 64, 32, split_bf16=True),
            step=Tile(32 if fp16x3 else 64, 64, 32, split_bf16=True),
            embed_update=Tile(32, 64, 32) if small else Tile(64, 32, 128, stages=1, split_bf16=True),
            use_fp16x3=fp16x3 and not small,
            small_cohort=small,
            lanes=1 if early else MAX_STREAMS,
            update_embedding_early=early,
        )


@dataclass(frozen=True)
class Cuts:
    """The tiles of a cohort and the number of programs and partial sums that follow from them."""

    tiles: Tiles
    precision: str
    """Precision of all products, by its name in the hypothesis file."""
    column_tiles: int
    """Number of column tiles in a row of hidden states."""
    row_tiles: int
    """Number of row tiles in a full batch, of HEAD_ROWS samples each."""
    norm_partials: int
    """Number of partial sums of a layer norm's gradients: row tiles under BP, else column tiles of W1's gradient."""
    square_partials: tuple[int, int, int]
    """Numbers of partial sums of squares from a block's three kinds of gradient (W1, W2, vectors of the norm)."""

    @classmethod
    def count(cls, tiles: Tiles, asked: str, *, width: int, inner: int, batch: int, gradients_flow: bool) -> Cuts:
        """Count programs and partial sums; ``asked`` is the precision, ``gradients_flow`` whether any replica's do."""
        row_tiles = -(-batch // HEAD_ROWS)
        columns = -(-inner // tiles.gradient.columns)
        return cls(
            tiles=tiles,
            precision="float32" if tiles.small_cohort and asked == "tf32" else asked,
            column_tiles=-(-width // tiles.block.columns),
            row_tiles=row_tiles,
            norm_partials=max(columns, row_tiles) if gradients_flow else columns,
            square_partials=(
                tiles.gradient.grid(width, inner),
                tiles.gradient.grid(inner, width),
                -(-width // VECTOR_COLUMNS),
            ),
        )

    @property
    def exact(self) -> dict[str, str]:
        """Launch options of products that are not cut by a tile."""
        return {"PRECISION": PRECISIONS[self.precision]}

    @property
    def scaled(self) -> dict[str, bool]:
        """Launch options of kernels that write or read an amax."""
        return {"SCALED": self.tiles.use_fp16x3}

    def product(self, tile: Tile) -> dict[str, Any]:
        """Return the launch options of a product cut by a tile."""
        return tile.options(self.precision)

    def block_product(self, tile: Tile) -> dict[str, Any]:
        """Return the launch options of a product in the blocks."""
        return (
            tile.options(self.precision) | ({"PRECISION": amax.FP16X3} if self.tiles.use_fp16x3 else {}) | self.scaled
        )
