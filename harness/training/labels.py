"""Labels that a cohort is trained on: those of the data set, or an intervention on them that is keyed by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.batched import keyed
from harness.datasets import Images
from harness.records import Labels


@dataclass(frozen=True)
class TrainingLabels:
    """The source of the labels that every training step reads.

    What a seed draws depends on the seed, the epoch and the images alone: neither on the cohort nor on whether the run
    was resumed. Random and noisy labels belong to an image of the whole data set, whichever of the others are used.
    """

    kind: Labels
    original: np.ndarray
    """Labels of the data set, int64 [N]."""
    places: slice | np.ndarray
    """Places of these images in the training split of the whole data set."""
    total: int
    """Number of images of that split."""
    classes: int
    """Number of classes."""
    seeds: tuple[int, ...]
    """Seeds of the cohort."""

    @classmethod
    def of(cls, kind: Labels, images: Images, seeds: tuple[int, ...]) -> TrainingLabels:
        """Return the source of the labels of a cohort with these seeds."""
        places: slice | np.ndarray = slice(None)
        total = len(images.train_labels)
        if images.selected is not None:
            places, total = images.selected.train_index, images.selected.train_total
        return cls(kind, np.ascontiguousarray(images.train_labels), places, total, len(images.classes), seeds)

    @property
    def differ_by_epoch(self) -> bool:
        """True if every epoch draws labels of its own."""
        return self.kind.name == "random"

    def draw(self, epoch: int) -> np.ndarray:
        """Return the labels of an epoch (from 0), int64 [s, N], or [N] if all seeds are trained on the same."""
        if not self.kind.changed:
            return self.original
        return np.stack([self._draw_for_seed(seed, epoch) for seed in self.seeds])

    def _draw_for_seed(self, seed: int, epoch: int) -> np.ndarray:
        if self.kind.name == "shuffled":
            return self.original.take(keyed.permutation(len(self.original), seed, "labels/shuffled"))
        if self.kind.name == "random":  # an epoch sees every image once, so each step draws anew
            return keyed.integers(self.classes, self.total, seed, "labels/random", epoch)[self.places]
        assert self.kind.share is not None
        replaced = keyed.uniform(self.total, seed, "labels/noisy")[self.places] < self.kind.share
        steps = 1 + keyed.integers(self.classes - 1, self.total, seed, "labels/noisy/class")[self.places]
        return np.where(replaced, (self.original + steps) % self.classes, self.original)
