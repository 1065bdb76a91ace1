"""How the products of a cohort are cut into tiles, and in which precision they multiply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from harness.training.steps.kernels import amax
from harness.training.steps.kernels.streams import MAX_STREAMS

PRECISIONS = {"float32": "tf32x3", "tf32": "tf32", "float64": "ieee"}
"""Precision in the file → how Triton multiplies; others take the autograd step. Three TF32 products make one that is
nearer to float64 than float32's own (benchmarks/notes.md), so float32 stays strict."""
PARTED = {"float32": "bf16x6", "tf32": "bf16x3"}
"""The same for factors split into three parts of bfloat16, six of whose products count, or two, which is 16 bits where
TF32 has 11. As much work, but faster on operands that lie transposed, which TF32 products must turn round first."""
HEAD_ROWS = 16  # samples per program where a program holds whole rows
VECTOR_COLUMNS = 32  # columns per program where sums run over samples


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
        """Return the number of programs for a matrix."""
        return -(-rows // self.rows) * -(-columns // self.columns)

    def options(self, precision: str) -> dict[str, Any]:
        """Return the options of a launch, where the file asks for ``precision``."""
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
    """The cuts of a cohort's products, and what follows from its size.

    They follow from the plan alone, so that sums always run in the same order.
    """

    embed: Tile
    splits: int
    """Parts of the embedding's sum over features."""
    norm: Tile
    """Layer norm and first product of a block."""
    block: Tile
    """Activation and second product."""
    back: Tile
    """Products that send gradients back through a block."""
    gradient: Tile
    """The weight gradient of a block."""
    step: Tile
    """Tiles for the weight gradient fused with AdamW; used for BP (no clipping) except in small cohorts."""
    embed_update: Tile
    """The embedding's weight gradient fused with AdamW."""
    use_fp16x3: bool
    """Blocks multiply in parts of float16, see ``amax``; other ways to float32 and TF32 are faster in other cuts."""
    small_cohort: bool
    """A small cohort waits for launches, not for products: it takes float32's products even where TF32 is allowed."""
    lanes: int
    """Runs of replicas, at least one for each rule, that go forward and back on streams of their own: what one reads,
    another multiplies. In a small cohort only the way back is apart."""
    update_embedding_early: bool
    """The embedding is updated as soon as its gradient is known, beside what is still sent back and the blocks'
    gradients. Larger launches only get into each other's way; where the update of blocks comes later than their
    gradients, it runs beside the products with images, which then take a cut that leaves it registers."""

    @classmethod
    def choose(
        cls, replicas: int, width: int, dtype: torch.dtype, *, fp16x3_allowed: bool, blocks_updated_later: bool
    ) -> Tiles:
        """Choose the cuts measured on an H100 (benchmarks/notes.md): enough programs for all of it, then larger ones.

        Registers do not hold the larger ones' numbers of eight bytes. ``blocks_updated_later``: the update of some
        blocks, as DFA's, comes later than their gradients.
        """
        small = replicas * width < 8 * 256 or dtype == torch.float64
        early = replicas * width < 48 * 256
        fp16x3 = fp16x3_allowed
        embed = Tile(64, 32, 32) if small else Tile(128, 64, 32 if blocks_updated_later and not early else 64, stages=2)
        return cls(
            embed=embed,
            splits=max(1, min(24, 264 // (embed.grid(128, width) * replicas))),
            norm=Tile(16, 32, 64) if small else Tile(64, 64 if early else 128, 32) if fp16x3 else Tile(32, 128, 32),
            block=Tile(16, 32, 32) if small else Tile(64, 64, 32, parted=True),
            back=Tile(16, 32, 64) if small else Tile(64, 64, 32),
            gradient=Tile(32, 64, 32) if small else Tile(64, 128, 32) if fp16x3 else Tile(128, 64, 32, parted=True),
            step=Tile(32 if fp16x3 else 64, 64, 32, parted=True),
            embed_update=Tile(32, 64, 32) if small else Tile(64, 32, 128, stages=1, parted=True),
            use_fp16x3=fp16x3 and not small,
            small_cohort=small,
            lanes=1 if early else MAX_STREAMS,
            update_embedding_early=early,
        )


@dataclass(frozen=True)
class Cuts:
    """The tiles of a cohort with the shapes that they cut: how many programs and partial results there are."""

    tiles: Tiles
    precision: str
    """In which the blocks' products and all others are asked for, as the file names it."""
    column_tiles: int
    """Column tiles that write a row of hidden states."""
    row_tiles: int
    """Programs for the rows of a full batch."""
    norm_parts: int
    """Parts that a layer norm's gradients come in: row tiles from BP, column tiles from W1's gradient elsewhere."""
    square_slots: tuple[int, int, int]
    """Sums of squares that a block's three kinds of gradient leave behind."""

    @classmethod
    def of(cls, tiles: Tiles, asked: str, *, width: int, inner: int, batch: int, gradients_flow: bool) -> Cuts:
        """Count tiles and parts. ``asked``: the file's precision; ``gradients_flow``: through some replica's blocks."""
        row_tiles = -(-batch // HEAD_ROWS)
        columns = -(-inner // tiles.gradient.columns)
        return cls(
            tiles=tiles,
            precision="float32" if tiles.small_cohort and asked == "tf32" else asked,
            column_tiles=-(-width // tiles.block.columns),
            row_tiles=row_tiles,
            norm_parts=max(columns, row_tiles) if gradients_flow else columns,
            square_slots=(
                tiles.gradient.grid(width, inner),
                tiles.gradient.grid(inner, width),
                -(-width // VECTOR_COLUMNS),
            ),
        )

    @property
    def exact(self) -> dict[str, str]:
        """Options of products that are not cut by a tile."""
        return {"PRECISION": PRECISIONS[self.precision]}

    @property
    def scaled(self) -> dict[str, bool]:
        """Options of kernels that keep or take an amax."""
        return {"SCALED": self.tiles.use_fp16x3}

    def product(self, tile: Tile) -> dict[str, Any]:
        """Return the options of a launch that multiplies by a tile."""
        return tile.options(self.precision)

    def block_product(self, tile: Tile) -> dict[str, Any]:
        """Return the options of a launch that multiplies in the blocks."""
        return (
            tile.options(self.precision) | ({"PRECISION": amax.PRODUCT} if self.tiles.use_fp16x3 else {}) | self.scaled
        )
