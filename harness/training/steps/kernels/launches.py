"""One function per kernel: what each launch of a step is given. ``step`` says in which order they come.

``w``: the workspace; ``size``: samples of the batch; ``ahead``: how many steps it lies behind the cursor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.batched.layers import LAYER_NORM_EPS
from harness.training.steps.kernels.buffers import Workspace
from harness.training.steps.kernels.layout import CHUNK
from harness.training.steps.kernels.streams import Lane
from harness.training.steps.kernels.tiles import HEAD_ROWS, VECTOR_COLUMNS
from harness.training.steps.supports import power_of_two

# Kernels are imported where they are launched: Triton comes with PyTorch's CUDA builds only.

# Forward --------------------------------------------------------------------------------------------------------------


def fetch(w: Workspace, size: int, ahead: int) -> None:
    """Cut a step's images from the training split, and look up their labels."""
    from harness.training.steps.kernels.triton import forward as kernels

    state, train, dataset = w.state, w.state.train, w.state.dataset
    w.launch(
        kernels.fetch, (size, w.shape.seeds),
        train.images, train.labels, state.schedule, state.cursor, w.centre, *w.activations.inputs(size, ahead),
        ahead * size, state.count,
        N=size, CHANNELS=dataset.channels, SIZE=train.size, STORED=train.images.shape[-1],
        BLOCK=min(1024, power_of_two(w.shape.features)),
    )  # fmt: skip


def embed(w: Workspace, size: int, ahead: int) -> None:
    """Multiply the images with the embedding's weight, which is all of the weights that this needs."""
    from harness.training.steps.kernels.triton import forward as kernels

    x, _ = w.activations.inputs(size, ahead)
    parts = w.activations.get("parts", size)
    tile, splits = w.cuts.tiles.embed, w.cuts.tiles.splits
    share = -(-w.shape.features // (splits * tile.depth)) * tile.depth
    w.launch(
        kernels.embed, (tile.grid(size, w.shape.width), splits, w.shape.replicas),
        x, *w.pixels, w.state.seed_of_replica, w.state.storage.weights, parts, w.shape.replicas, w.layout.size,
        w.layout.at("embedding.weight"),
        N=size, F=w.shape.features, D=w.shape.width, SHARE=share, **w.cuts.product(tile),
    )  # fmt: skip


def embed_sum(w: Workspace, size: int) -> None:
    """Add the embedding's products up to the first hidden states."""
    from harness.training.steps.kernels.triton import forward as kernels

    parts, h, moments = w.activations.some(size, "parts", "h", "moments")
    r, stride, *_ = w.place
    measured = w.amax.measured
    w.launch(
        kernels.embed_sum, (-(-size // HEAD_ROWS) * w.cuts.column_tiles, r),
        parts, w.state.storage.weights, h, moments, measured, r, stride, w.layout.at("embedding.bias"), len(measured),
        N=size, D=w.shape.width, SPLITS=w.cuts.tiles.splits, AMAX=power_of_two(len(measured)), BM=HEAD_ROWS,
        BN=w.cuts.tiles.block.columns,
    )  # fmt: skip


def norm_linear(w: Workspace, size: int, layer: int, replicas: range) -> None:
    """Go from a block's input to its activations."""
    from harness.training.steps.kernels.triton import forward as kernels

    h, moments, stats, slopes, u = w.activations.some(size, "h", "moments", "stats", "slopes", "u")
    r, stride, blocks, apart = w.place
    at, tile, parts = w.layout.at, w.cuts.tiles.norm, w.cuts.column_tiles
    w.launch(
        kernels.norm_linear, (tile.grid(size, w.shape.inner), 1, len(replicas)),
        h, moments, stats, w.state.storage.weights, slopes, u, w.amax["normed"], w.amax["w1"], w.amax["u"],
        r, stride, blocks, apart, layer, replicas.start,
        at("norm.weight"), at("norm.bias"), at("w1.weight"), at("w1.bias"),
        N=size, D=w.shape.width, H=w.shape.inner, ACT=w.model.activation, EPS=LAYER_NORM_EPS,
        PARTS=parts, PP=power_of_two(parts), WIDE=w.cuts.tiles.block.columns, **w.cuts.block_product(tile),
    )  # fmt: skip


def out_linear(w: Workspace, size: int, layer: int, replicas: range) -> None:
    """Go from a block's activations to the next block's input."""
    from harness.training.steps.kernels.triton import forward as kernels

    h, u, f, moments = w.activations.some(size, "h", "u", "f", "moments")
    r, stride, blocks, apart = w.place
    tile = w.cuts.tiles.block
    w.launch(
        kernels.out_linear, (tile.grid(size, w.shape.width), 1, len(replicas)),
        h, u, f, moments, w.state.storage.weights, w.amax["u"], w.amax["w2"], r, stride, blocks, apart, layer,
        replicas.start, w.layout.at("w2.weight"), w.layout.at("w2.bias"),
        D=w.shape.width, H=w.shape.inner, SKIP=w.model.skip, KEEP=w.penalised,
        N=size, **w.cuts.block_product(tile),
    )  # fmt: skip


def head(w: Workspace, size: int, ahead: int, replicas: range) -> None:
    """Go from the last hidden states to the loss and the output error, and to the gradient at the last block."""
    from harness.training.steps.kernels.triton import forward as kernels

    h, stats, f = w.activations.some(size, "h", "stats", "f")
    error, dhn, dh, df = w.activations.some(size, "error", "dhn", "dh", "df")
    _, labels = w.activations.inputs(size, ahead)
    r, stride, *_ = w.place
    w.launch(
        kernels.head, (w.cuts.row_tiles, len(replicas)),
        h, stats, f, w.state.storage.weights, w.state.seed_of_replica, labels, w.through, w.penalty_slope,
        error, dhn, dh, df, w.amax["df"], w.loss,
        r, stride, w.shape.layers, replicas.start, *w.head_norm(), w.layout.at("head.weight"), w.layout.at("head.bias"),
        NORM=w.model.terminal_norm, PENALTY=w.penalised, EPS=LAYER_NORM_EPS, BM=HEAD_ROWS, N=size, **w.shape.rows,
        **w.shape.head, **w.cuts.scaled, **w.cuts.exact,
    )  # fmt: skip


# Backward -------------------------------------------------------------------------------------------------------------


def credit(w: Workspace, size: int, lane: Lane) -> None:
    """Direct feedback: give every block its own projection of the error, all blocks at once."""
    from harness.training.steps.kernels.triton import backward as kernels

    error, f, df, dh = w.activations.some(size, "error", "f", "df", "dh")
    own = lane.group.replicas
    w.launch(
        kernels.credit, (-(-size // HEAD_ROWS), w.shape.layers, len(lane.replicas)),
        error, w.state.storage.stacked_feedback[own.start], f, w.penalty_slope, df, dh, w.amax["df"], w.shape.replicas,
        lane.replicas.start, own.start, own.stop - own.start,
        N=size, PENALTY=w.penalised, BM=HEAD_ROWS, **w.shape.rows, **w.shape.head, **w.cuts.scaled, **w.cuts.exact,
    )  # fmt: skip


def back_out(w: Workspace, size: int, layer: int, layers: int, lane: Lane) -> None:
    """Go from a branch's output back to its first product's output, for ``layers`` blocks at once."""
    _back_linear(w, size, layer, layers, lane, "df", "dz", "w2", IN=w.shape.inner, OUT=w.shape.width, SLOPE=True)


def back_first(w: Workspace, size: int, layer: int, lane: Lane) -> None:
    """Go from there to the output of the block's layer norm: only where gradients flow on below."""
    _back_linear(w, size, layer, 1, lane, "dz", "du", "w1", IN=w.shape.width, OUT=w.shape.inner, SLOPE=False)


def _back_linear(
    w: Workspace, size: int, layer: int, layers: int, lane: Lane, out: str, into: str, weight: str, **shape: int
) -> None:
    from harness.training.steps.kernels.triton import backward as kernels

    dout, slopes, din = w.activations.some(size, out, "slopes", into)
    tile = w.cuts.tiles.back
    apart = w.shape.replicas if shape["SLOPE"] else 0
    w.launch(
        kernels.back_linear, (tile.grid(size, shape["IN"]), layers, len(lane.replicas)),
        dout, w.state.storage.weights, slopes, din, w.amax[out], w.amax[weight], w.amax["dz"], apart,
        *w.place, layer, lane.replicas.start, w.layout.at(f"{weight}.weight"),
        N=size, **shape, **w.cuts.block_product(tile),
    )  # fmt: skip


def back_norm(w: Workspace, size: int, layer: int, lane: Lane) -> None:
    """Go from the output of a block's layer norm to the block's input, and to the branch below."""
    from harness.training.steps.kernels.triton import backward as kernels

    du, h, stats, f, dh, df = w.activations.some(size, "du", "h", "stats", "f", "dh", "df")
    r, stride, blocks, apart = w.place
    w.launch(
        kernels.back_norm, (w.cuts.row_tiles, len(lane.replicas)),
        du, h, stats, f, w.state.storage.weights, w.penalty_slope, dh, df, w.amax["df"], w.gradients.norm_parts,
        r, stride, blocks, apart, layer, lane.replicas.start, w.layout.at("norm.weight"),
        N=size, PARTS=w.cuts.norm_parts, SKIP=w.model.skip, PENALTY=w.penalised, BM=HEAD_ROWS,
        **w.shape.rows, **w.cuts.scaled,
    )  # fmt: skip


def weight_gradients(w: Workspace, size: int, ahead: int, replicas: range, *, step: bool) -> None:
    """Compute the gradients of the blocks' weights and biases; with ``step``, the weights' update too."""
    from harness.training.steps.kernels.triton import backward as kernels

    storage, gradients, at = w.state.storage, w.gradients, w.layout.at
    h, stats, u, df, dz = w.activations.some(size, "h", "stats", "u", "df", "dz")
    r, stride, first, apart = w.place
    width, inner, layers = w.shape.width, w.shape.inner, w.shape.layers
    place = (
        r, stride, gradients.flat.shape[1], first, apart, w.layout.skipped, at("norm.weight"), at("norm.bias"),
    )  # fmt: skip
    kept = (
        storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq, gradients.flat, gradients.squares,
        gradients.norm_parts, w.through,
    )  # fmt: skip
    tile = w.cuts.tiles.step if step else w.cuts.tiles.gradient
    count, slots = len(replicas), sum(w.cuts.square_slots)
    common = {
        "N": size, "BATCH": w.shape.batch, "PARTS": w.cuts.norm_parts, "STEP": step, **w.cuts.block_product(tile),
    }  # fmt: skip
    w.launch(
        kernels.weight_gradient, (tile.grid(width, inner), layers, count),
        h, stats, dz, w.amax["unit"], w.amax["dz"], *kept, *w.tables.rates, *place,
        at("w1.weight"), at("w1.bias"), slots, 0, replicas.start, ahead,
        IN=width, OUT=inner, NORM=True, **common,
    )  # fmt: skip
    w.launch(
        kernels.weight_gradient, (tile.grid(inner, width), layers, count),
        u, stats, df, w.amax["u"], w.amax["df"], *kept, *w.tables.rates, *place,
        at("w2.weight"), at("w2.bias"), slots, w.cuts.square_slots[0], replicas.start, ahead,
        IN=inner, OUT=width, NORM=False, **common,
    )  # fmt: skip


def norm_vectors(w: Workspace) -> None:
    """Put the gradients of the blocks' layer norms together from their parts."""
    from harness.training.steps.kernels.triton import backward as kernels

    r, _, first, apart = w.place
    gradients, at = w.gradients, w.layout.at
    *products, own = w.cuts.square_slots
    w.launch(
        kernels.norm_vectors, (own, w.shape.layers, r),
        gradients.norm_parts, gradients.flat, gradients.squares, r, gradients.flat.shape[1], first, apart,
        w.layout.skipped, at("norm.weight"), at("norm.bias"), sum(w.cuts.square_slots), sum(products),
        D=w.shape.width, PARTS=w.cuts.norm_parts, BN=VECTOR_COLUMNS,
    )  # fmt: skip


def end_vectors(w: Workspace, size: int) -> None:
    """Compute the gradients of the embedding's bias and of the head."""
    from harness.training.steps.kernels.triton import backward as kernels

    gradient, layout, width = w.gradients.flat, w.layout, w.shape.width
    h, stats, error, dhn, dh = w.activations.some(size, "h", "stats", "error", "dhn", "dh")
    w.launch(
        kernels.end_vectors, (-(-width // VECTOR_COLUMNS), w.shape.replicas),
        h, stats, w.state.storage.weights, error, dhn, dh, gradient, w.shape.replicas, layout.size, gradient.shape[1],
        layout.skipped, w.shape.layers,
        layout.at("embedding.bias"), *w.head_norm(), layout.at("head.weight"), layout.at("head.bias"),
        N=size, BATCH=w.shape.batch, D=width, NORM=w.model.terminal_norm,
        BN=VECTOR_COLUMNS, BK=32, **w.shape.head, **w.cuts.exact,
    )  # fmt: skip


# Update ---------------------------------------------------------------------------------------------------------------


def embed_update(w: Workspace, size: int, replicas: range, ahead: int) -> None:
    """Compute the gradient of the embedding's weight, and move it one step on."""
    from harness.training.steps.kernels.triton import update as kernels

    x, _ = w.activations.inputs(size, ahead)
    dh = w.activations.get("dh", size)
    storage, tile = w.state.storage, w.cuts.tiles.embed_update
    w.launch(
        kernels.embed_update, (tile.grid(w.shape.features, w.shape.width), len(replicas)),
        x, *w.pixels, w.state.seed_of_replica, dh, storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq,
        *w.tables.rates, w.layout.size, w.layout.at("embedding.weight"), replicas.start, ahead,
        N=size, BATCH=w.shape.batch, F=w.shape.features, D=w.shape.width, PREFETCH=_prefetches(w),
        **w.cuts.product(tile),
    )  # fmt: skip


def _prefetches(w: Workspace) -> bool:
    """Tell whether ``embed_update`` prefetches weights: in NVIDIA's assembly, for whole tiles of float32."""
    tile, shape = w.cuts.tiles.embed_update, w.shape
    whole = shape.features % tile.rows == 0 and shape.width % tile.columns == 0 and tile.columns % 32 == 0
    on_nvidia = w.state.device.is_cuda and torch.version.cuda is not None
    return on_nvidia and w.state.dtype == torch.float32 and whole


def update(w: Workspace, ahead: int, chunks: Tensor, replicas: range) -> None:
    """Move the weights of some chunks one step on, along their stored gradients."""
    from harness.training.steps.kernels.triton import update as kernels

    storage, layout, gradients = w.state.storage, w.layout, w.gradients
    slots = sum(w.cuts.square_slots)
    w.launch(
        kernels.update, (len(chunks), len(replicas)),
        storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq, gradients.flat, gradients.squares,
        w.tables.largest, *w.tables.rates,
        w.tables.groups, chunks, layout.size, gradients.flat.shape[1], layout.skipped, slots, w.shape.layers,
        replicas.start, ahead, SLOTS=power_of_two(slots), BLOCK=CHUNK,
    )  # fmt: skip
