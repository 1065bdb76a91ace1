"""One function per kernel, which passes it the arguments of a launch. ``step`` orders the launches.

``w`` is the workspace, ``size`` the number of samples in the batch, and ``ahead`` its distance from the cursor in
steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.batched.adamw import CLIP_EPS
from harness.batched.layers import LAYER_NORM_EPS
from harness.rules import CREDIT_EPS, FixedCredit
from harness.training.steps.kernels.buffers import Workspace
from harness.training.steps.kernels.layout import CHUNK
from harness.training.steps.kernels.streams import Lane
from harness.training.steps.kernels.tiles import HEAD_ROWS, VECTOR_COLUMNS
from harness.training.steps.supports import next_power_of_two

# Kernels are imported by the functions that launch them, because Triton comes with PyTorch's CUDA builds only.

# Forward --------------------------------------------------------------------------------------------------------------


def fetch(w: Workspace, size: int, ahead: int) -> None:
    """Crop a step's images from the training split, and look up their labels."""
    from harness.training.steps.kernels.triton import forward as kernels

    state, train, dataset = w.state, w.state.train, w.state.dataset
    w.launch(
        kernels.fetch, (size, w.shape.seeds),
        train.images, state.labels, state.schedule, state.cursor, w.centre, *w.activations.inputs(size, ahead),
        ahead * size, state.count, state.count if state.labels.dim() > 1 else 0,
        N=size, CHANNELS=dataset.channels, SIZE=train.size, STORED=train.images.shape[-1],
        BLOCK=min(1024, next_power_of_two(w.shape.features)),
    )  # fmt: skip


def embed(w: Workspace, size: int, ahead: int) -> None:
    """Multiply the images by the embedding's weight, the only weight that this launch waits for."""
    from harness.training.steps.kernels.triton import forward as kernels

    x, _ = w.activations.inputs(size, ahead)
    embed_partials = w.activations.get("embed_partials", size)
    tile, embed_splits = w.cuts.tiles.embed, w.cuts.tiles.embed_splits
    split_features = -(-w.shape.features // (embed_splits * tile.depth)) * tile.depth
    w.launch(
        kernels.embed, (tile.grid(size, w.shape.width), embed_splits, w.shape.replicas),
        x, *w.pixels, w.state.seed_of_replica, w.state.storage.weights, embed_partials, w.shape.replicas, w.layout.size,
        w.layout.locate("embedding.weight"),
        N=size, F=w.shape.features, D=w.shape.width, SPLIT_FEATURES=split_features, **w.cuts.product(tile),
    )  # fmt: skip


def embed_sum(w: Workspace, size: int) -> None:
    """Add the split-K parts of the embedding to the first hidden states."""
    from harness.training.steps.kernels.triton import forward as kernels

    embed_partials, h, tile_stats = w.activations.get_all(size, "embed_partials", "h", "tile_stats")
    r, stride, *_ = w.addressing
    measured = w.amax.measured
    w.launch(
        kernels.embed_sum, (-(-size // HEAD_ROWS) * w.cuts.column_tiles, r),
        embed_partials, w.state.storage.weights, h, tile_stats, measured, r, stride, w.layout.locate("embedding.bias"),
        len(measured),
        N=size, D=w.shape.width, SPLITS=w.cuts.tiles.embed_splits, AMAX=next_power_of_two(len(measured)), BM=HEAD_ROWS,
        BN=w.cuts.tiles.block.columns,
    )  # fmt: skip


def norm_linear(w: Workspace, size: int, layer: int, replicas: range) -> None:
    """Compute a block's activations from its input."""
    from harness.training.steps.kernels.triton import forward as kernels

    h, tile_stats, stats, slopes, u = w.activations.get_all(size, "h", "tile_stats", "stats", "slopes", "u")
    r, stride, blocks, block_stride = w.addressing
    at, tile, column_tiles = w.layout.locate, w.cuts.tiles.norm, w.cuts.column_tiles
    w.launch(
        kernels.norm_linear, (tile.grid(size, w.shape.inner), 1, len(replicas)),
        h, tile_stats, stats, w.state.storage.weights, slopes, u, w.amax["norm_output"], w.amax["w1"], w.amax["u"],
        r, stride, blocks, block_stride, layer, replicas.start,
        at("norm.weight"), at("norm.bias"), at("w1.weight"), at("w1.bias"),
        N=size, D=w.shape.width, H=w.shape.inner, ACT=w.model.activation, EPS=LAYER_NORM_EPS,
        COLUMN_TILES=column_tiles, PADDED_TILES=next_power_of_two(column_tiles),
        TILE_COLUMNS=w.cuts.tiles.block.columns, **w.cuts.block_product(tile),
    )  # fmt: skip


def out_linear(w: Workspace, size: int, layer: int, replicas: range) -> None:
    """Compute the next block's input from a block's activations."""
    from harness.training.steps.kernels.triton import forward as kernels

    h, u, f, tile_stats = w.activations.get_all(size, "h", "u", "f", "tile_stats")
    r, stride, blocks, block_stride = w.addressing
    tile = w.cuts.tiles.block
    w.launch(
        kernels.out_linear, (tile.grid(size, w.shape.width), 1, len(replicas)),
        h, u, f, tile_stats, w.state.storage.weights, w.amax["u"], w.amax["w2"], r, stride, blocks, block_stride, layer,
        replicas.start, w.layout.locate("w2.weight"), w.layout.locate("w2.bias"),
        D=w.shape.width, H=w.shape.inner, SKIP=w.model.skip, KEEP=w.penalised,
        N=size, **w.cuts.block_product(tile),
    )  # fmt: skip


def head(w: Workspace, size: int, ahead: int, replicas: range) -> None:
    """Compute loss and output error from the last hidden states, and the gradient at the last block."""
    from harness.training.steps.kernels.triton import forward as kernels

    h, stats, f = w.activations.get_all(size, "h", "stats", "f")
    error, dhn, dh, df = w.activations.get_all(size, "error", "dhn", "dh", "df")
    _, labels = w.activations.inputs(size, ahead)
    r, stride, *_ = w.addressing
    w.launch(
        kernels.head, (w.cuts.row_tiles, len(replicas)),
        h, stats, f, w.state.storage.weights, w.state.seed_of_replica, labels, w.gradients_flow, w.penalty_slope,
        error, dhn, dh, df, w.amax["df"], w.loss,
        r, stride, w.shape.layers, replicas.start, *w.locate_head_norm(), w.layout.locate("head.weight"),
        w.layout.locate("head.bias"),
        NORM=w.model.terminal_norm, PENALTY=w.penalised, EPS=LAYER_NORM_EPS, BM=HEAD_ROWS, N=size, **w.shape.rows,
        **w.shape.head, **w.cuts.scaled, **w.cuts.exact,
    )  # fmt: skip


# Backward -------------------------------------------------------------------------------------------------------------


def credit(w: Workspace, size: int, ahead: int, lane: Lane, form: FixedCredit) -> None:
    """Direct feedback: project the error onto every block, all blocks at once, and onto the embedding."""
    matrices = w.matrices[lane.group.replicas.start]
    assert matrices is not None
    if form.per_block:
        _credit(w, size, ahead, lane, form, matrices)
    else:
        _credit(w, size, ahead, lane, form, matrices[:1], "embedding")
        _credit(w, size, ahead, lane, form, matrices[1:], "blocks")


def _credit(
    w: Workspace, size: int, ahead: int, lane: Lane, form: FixedCredit, matrices: Tensor, part: str = ""
) -> None:
    """Project the error by one matrix for each block, onto the embedding, the blocks or, without a ``part``, both."""
    from harness.training.steps.kernels.triton import backward as kernels

    error, f, df, dh = w.activations.get_all(size, "error", "f", "df", "dh")
    _, labels = w.activations.inputs(size, ahead)
    own = lane.group.replicas
    w.launch(
        kernels.credit, (-(-size // HEAD_ROWS), len(matrices), len(lane.replicas)),
        error, w.state.seed_of_replica, labels, matrices, f, w.penalty_slope, df, dh, w.amax["df"], w.shape.replicas,
        lane.replicas.start, own.start, own.stop - own.start,
        N=size, PENALTY=w.penalised, FED=form.fed, NORMALIZE=form.normalize, EPS=CREDIT_EPS,
        EMBEDDING=part != "blocks", BLOCKS=part != "embedding", BM=HEAD_ROWS,
        **w.shape.rows, **w.shape.head, **w.cuts.scaled, **w.cuts.exact,
    )  # fmt: skip


def back_out(w: Workspace, size: int, layer: int, layers: int, lane: Lane) -> None:
    """Compute the gradient before the activation from that at the branch's output, for ``layers`` blocks at once."""
    _back_linear(w, size, range(layer, layer + layers), lane, "w2", "df", "dz")


def back_first(w: Workspace, size: int, layer: int, lane: Lane) -> None:
    """Compute the gradient at a layer norm's output from that before the activation, where gradients flow further."""
    _back_linear(w, size, range(layer, layer + 1), lane, "w1", "dz", "du")


def _back_linear(w: Workspace, size: int, layers: range, lane: Lane, weight: str, out: str, into: str) -> None:
    """Multiply the gradient ``out`` by a transposed weight; behind W2, also by the slope of the activation."""
    from harness.training.steps.kernels.triton import backward as kernels

    dout, slopes, din = w.activations.get_all(size, out, "slopes", into)
    tile, slope = w.cuts.tiles.back, weight == "w2"
    ins, outs = (w.shape.inner, w.shape.width) if slope else (w.shape.width, w.shape.inner)
    layer_stride = w.shape.replicas if slope else 0  # ``du`` holds one layer only
    w.launch(
        kernels.back_linear, (tile.grid(size, ins), len(layers), len(lane.replicas)),
        dout, w.state.storage.weights, slopes, din, w.amax[out], w.amax[weight], w.amax["dz"], layer_stride,
        *w.addressing, layers.start, lane.replicas.start, w.layout.locate(f"{weight}.weight"),
        N=size, IN=ins, OUT=outs, SLOPE=slope, **w.cuts.block_product(tile),
    )  # fmt: skip


def back_norm(w: Workspace, size: int, layer: int, lane: Lane) -> None:
    """Compute the gradients at a block's input and at the branch below from that at its layer norm's output."""
    from harness.training.steps.kernels.triton import backward as kernels

    du, h, stats, f, dh, df = w.activations.get_all(size, "du", "h", "stats", "f", "dh", "df")
    r, stride, blocks, block_stride = w.addressing
    w.launch(
        kernels.back_norm, (w.cuts.row_tiles, len(lane.replicas)),
        du, h, stats, f, w.state.storage.weights, w.penalty_slope, dh, df, w.amax["df"], w.gradients.norm_sums,
        r, stride, blocks, block_stride, layer, lane.replicas.start, w.layout.locate("norm.weight"),
        N=size, PARTIALS=w.cuts.norm_partials, SKIP=w.model.skip, PENALTY=w.penalised, BM=HEAD_ROWS,
        **w.shape.rows, **w.cuts.scaled,
    )  # fmt: skip


def weight_gradients(w: Workspace, size: int, ahead: int, replicas: range, *, step: bool) -> None:
    """Compute the gradients of the blocks' weights and biases and, with ``step``, update the weights."""
    from harness.training.steps.kernels.triton import backward as kernels

    storage, gradients, at = w.state.storage, w.gradients, w.layout.locate
    h, stats, u, df, dz = w.activations.get_all(size, "h", "stats", "u", "df", "dz")
    r, stride, first, block_stride = w.addressing
    width, inner, layers = w.shape.width, w.shape.inner, w.shape.layers
    place = (
        r, stride, gradients.flat.shape[1], first, block_stride, w.layout.gradient_start,
        at("norm.weight"), at("norm.bias"),
    )  # fmt: skip
    memory = (
        storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq, gradients.flat, gradients.square_sums,
        gradients.norm_sums, w.gradients_flow,
    )  # fmt: skip
    tile = w.cuts.tiles.step if step else w.cuts.tiles.gradient
    count, square_partials = len(replicas), sum(w.cuts.square_partials)
    common = {
        "N": size, "BATCH": w.shape.batch, "PARTIALS": w.cuts.norm_partials, "STEP": step, **w.cuts.block_product(tile),
    }  # fmt: skip
    w.launch(
        kernels.weight_gradient, (tile.grid(width, inner), layers, count),
        h, stats, dz, w.amax["normalised"], w.amax["dz"], *memory, *w.tables.rates, *place,
        at("w1.weight"), at("w1.bias"), square_partials, 0, replicas.start, ahead,
        IN=width, OUT=inner, NORM=True, **common,
    )  # fmt: skip
    w.launch(
        kernels.weight_gradient, (tile.grid(inner, width), layers, count),
        u, stats, df, w.amax["u"], w.amax["df"], *memory, *w.tables.rates, *place,
        at("w2.weight"), at("w2.bias"), square_partials, w.cuts.square_partials[0], replicas.start, ahead,
        IN=inner, OUT=width, NORM=False, **common,
    )  # fmt: skip


def norm_vectors(w: Workspace) -> None:
    """Add up the partial sums of the gradients of the blocks' layer norms."""
    from harness.training.steps.kernels.triton import backward as kernels

    r, _, first, block_stride = w.addressing
    gradients, at = w.gradients, w.layout.locate
    *products, own = w.cuts.square_partials
    w.launch(
        kernels.norm_vectors, (own, w.shape.layers, r),
        gradients.norm_sums, gradients.flat, gradients.square_sums, r, gradients.flat.shape[1], first, block_stride,
        w.layout.gradient_start, at("norm.weight"), at("norm.bias"), sum(w.cuts.square_partials), sum(products),
        D=w.shape.width, PARTIALS=w.cuts.norm_partials, BN=VECTOR_COLUMNS,
    )  # fmt: skip


def end_vectors(w: Workspace, size: int) -> None:
    """Compute the gradients of the embedding's bias and of the head."""
    from harness.training.steps.kernels.triton import backward as kernels

    gradient, layout, width = w.gradients.flat, w.layout, w.shape.width
    h, stats, error, dhn, dh = w.activations.get_all(size, "h", "stats", "error", "dhn", "dh")
    w.launch(
        kernels.end_vectors, (-(-width // VECTOR_COLUMNS), w.shape.replicas),
        h, stats, w.state.storage.weights, error, dhn, dh, gradient, w.shape.replicas, layout.size, gradient.shape[1],
        layout.gradient_start, w.shape.layers,
        layout.locate("embedding.bias"), *w.locate_head_norm(), layout.locate("head.weight"),
        layout.locate("head.bias"),
        N=size, BATCH=w.shape.batch, D=width, NORM=w.model.terminal_norm,
        BN=VECTOR_COLUMNS, BK=32, **w.shape.head, **w.cuts.exact,
    )  # fmt: skip


# Update ---------------------------------------------------------------------------------------------------------------


def embed_update(w: Workspace, size: int, replicas: range, ahead: int) -> None:
    """Compute the gradient of the embedding's weight, and update it."""
    from harness.training.steps.kernels.triton import update as kernels

    x, _ = w.activations.inputs(size, ahead)
    dh = w.activations.get("dh", size)
    storage, tile = w.state.storage, w.cuts.tiles.embed_update
    w.launch(
        kernels.embed_update, (tile.grid(w.shape.features, w.shape.width), len(replicas)),
        x, *w.pixels, w.state.seed_of_replica, dh, storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq,
        *w.tables.rates, w.layout.size, w.layout.locate("embedding.weight"), replicas.start, ahead,
        N=size, BATCH=w.shape.batch, F=w.shape.features, D=w.shape.width, PREFETCH=_prefetches(w),
        **w.cuts.product(tile),
    )  # fmt: skip


def _prefetches(w: Workspace) -> bool:
    """Tell whether ``embed_update`` prefetches weights, by NVIDIA instructions, for whole tiles of float32."""
    tile, shape = w.cuts.tiles.embed_update, w.shape
    whole = shape.features % tile.rows == 0 and shape.width % tile.columns == 0 and tile.columns % 32 == 0
    on_nvidia = w.state.device.is_cuda and torch.version.cuda is not None
    return on_nvidia and w.state.dtype == torch.float32 and whole


def update(w: Workspace, ahead: int, chunks: Tensor, replicas: range) -> None:
    """Update the weights of some chunks from their stored gradients."""
    from harness.training.steps.kernels.triton import update as kernels

    storage, layout, gradients = w.state.storage, w.layout, w.gradients
    square_partials = sum(w.cuts.square_partials)
    w.launch(
        kernels.update, (len(chunks), len(replicas)),
        storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq, gradients.flat, gradients.square_sums,
        w.tables.max_norms, *w.tables.rates,
        w.tables.groups, chunks, layout.size, gradients.flat.shape[1], layout.gradient_start, square_partials,
        w.shape.layers, replicas.start, ahead,
        PADDED_PARTIALS=next_power_of_two(square_partials), BLOCK=CHUNK, EPS=CLIP_EPS,
    )  # fmt: skip
