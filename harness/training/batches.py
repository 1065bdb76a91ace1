"""Training batches from images on the device: keyed order, crops and flips, then gathering and normalising."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.batched import keyed
from harness.datasets import CROP_PADDING, Dataset, Images
from harness.plugins.splits import SplitName

PROBE_SEED = 0  # the probe batch is the same for every replica of every run on a data set


@dataclass(frozen=True)
class DeviceImages:
    """One split on the device, stored as bytes: a fortieth of what float32 crops would take."""

    images: Tensor
    """Pixels, uint8 [N, channel, height, width], padded if the split is cropped."""
    original_labels: Tensor
    """Class indices as the data set has them, int64 [N]. Training reads those of ``labels.TrainingLabels``."""
    factor: Tensor
    shift: Tensor
    """Offset of normalised value = pixel·factor + shift, each [channel, 1, 1] in the training type."""
    size: int
    """Height and width of the images that the model sees."""


def move_to_device(
    dataset: Dataset, images: Images, split: SplitName, device: torch.device, dtype: torch.dtype
) -> DeviceImages:
    """Move one split ("train", "validation" or "test") to the device."""
    pixels, labels = (torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in images.get(split))
    if split == "train" and "random_crop" in dataset.augment:
        pixels = pad(pixels, (CROP_PADDING,) * 4)
    mean, std = torch.tensor(dataset.mean, dtype=torch.float64), torch.tensor(dataset.std, dtype=torch.float64)
    column = (-1, 1, 1)
    return DeviceImages(
        images=pixels,
        original_labels=labels,
        factor=(1.0 / (dataset.scale * std)).view(column).to(device, dtype),
        shift=(-mean / std).view(column).to(device, dtype),
        size=dataset.size,
    )


def draw_probe_batch(
    dataset: Dataset, images: DeviceImages, samples: int, split: SplitName = "test"
) -> tuple[Tensor, Tensor]:
    """Return a probe batch: x float64 [1, n, features] and y int64 [1, n], images of a split drawn with a fixed key.

    Images are taken without their padding, and labels are the data set's own.
    """
    purpose = "probe" if split == "test" else f"probe/{split}"
    order = keyed.permutation(len(images.original_labels), PROBE_SEED, purpose)
    chosen = torch.from_numpy(np.sort(order[:samples])).to(images.original_labels.device)
    pixels = unpad(images)[chosen].double() / dataset.scale
    mean, std = (
        torch.tensor(values, dtype=torch.float64, device=pixels.device).view(-1, 1, 1)
        for values in (dataset.mean, dataset.std)
    )
    return ((pixels - mean) / std).flatten(1).unsqueeze(0), images.original_labels[chosen].unsqueeze(0)


def unpad(split: DeviceImages) -> Tensor:
    """Return the pixels, uint8 [N, channel, height, width], without the padding for crops."""
    padding = (split.images.shape[-1] - split.size) // 2
    inner = slice(padding, padding + split.size)
    return split.images[..., inner, inner]


def draw_schedule(
    dataset: Dataset,
    count: int,
    seeds: tuple[int, ...],
    epoch: int,
    out: np.ndarray | None = None,
    threads: int | None = 1,
) -> np.ndarray:
    """Draw an epoch's images for each seed, int32 [seed, count, 4]: image index, crop row, crop column, flip.

    The schedule is a function of (seed, epoch) alone. Without cropping, row and column are 0; without flips, flip is 0.
    The result is written to ``out`` if that is given, by ``threads`` threads (None: PyTorch's default pool size).
    """
    schedule = np.empty((len(seeds), count, 4), dtype=np.int32) if out is None else out

    def draw(seed: int, rows: np.ndarray) -> None:
        rows[:, 0] = keyed.permutation(count, seed, "order", epoch)
        rows[:, 1:] = 0
        if "random_crop" in dataset.augment:
            corner = keyed.integers((2 * CROP_PADDING + 1) ** 2, count, seed, "crop", epoch)
            rows[:, 1], rows[:, 2] = np.divmod(corner, 2 * CROP_PADDING + 1)
        if "horizontal_flip" in dataset.augment:
            rows[:, 3] = keyed.integers(2, count, seed, "flip", epoch)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, seeds, schedule))
    return schedule


def fetch(
    split: DeviceImages, labels: Tensor, dataset: Dataset, rows: Tensor, copies: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Turn schedule rows int32 [s, n, 4] into x [s, n, features], normalised, and y int64 [s, n].

    Images are cropped first, then flipped. ``labels`` is int64 [N] or [s, N], see ``look_up_labels``.

    ``copies``, int32 [r], gives the index into s for each replica; with it, x is [r, n, features] and y [r, n].
    """
    index = rows[..., 0].long()
    if not dataset.augment:
        pixels = split.images.flatten(1).index_select(0, index.flatten()).view(*index.shape, *split.images.shape[1:])
    else:
        side = torch.arange(split.size, device=rows.device)
        flipped = rows[..., 3, None] != 0
        columns = torch.where(flipped, split.size - 1 - side, side) + rows[..., 2, None]
        lines = side + rows[..., 1, None]
        channels = torch.arange(dataset.channels, device=rows.device)
        pixels = split.images[
            index[..., None, None, None],
            channels[:, None, None],
            lines[..., None, :, None].long(),
            columns[..., None, None, :].long(),
        ]
    x, y = normalise(split, pixels).flatten(2), look_up_labels(labels, index)
    return (x, y) if copies is None else (x.index_select(0, copies), y.index_select(0, copies))


def look_up_labels(labels: Tensor, index: Tensor) -> Tensor:
    """Return the labels int64 [s, n] of images int64 [s, n], from labels that all rows share, [N], or [s, N]."""
    if labels.dim() == 1:
        return labels.index_select(0, index.flatten()).view(index.shape)
    return labels.gather(1, index)


def normalise(split: DeviceImages, pixels: Tensor) -> Tensor:
    """Normalise pixels, uint8 [..., channel, height, width], to the training type."""
    return torch.addcmul(split.shift, pixels.to(split.factor.dtype), split.factor)
