"""Parts of models that read images, whose shape a data set decides; this module is no plug-in."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

from harness.errors import UsageError
from harness.models import Model

if TYPE_CHECKING:
    from torch import Tensor


class ImageShape(NamedTuple):
    """The shape of a data set's images."""

    channels: int
    size: int
    """Pixels of a side."""


class ImageModel(Model):
    """Interface of a model whose sizes depend on the shape of images, not on the number of features alone."""

    def on(self, channels: int, size: int) -> Self:
        """Return the model for images of this shape.

        The shape is no parameter, just as the number of classes is none: it is the data set's, and a file says it once.
        """
        copy = self.model_copy()
        for name in set(vars(copy)) - set(type(self).model_fields):
            del vars(copy)[name]  # what was computed for other images
        vars(copy)["image"] = ImageShape(channels, size)
        copy.check_image()
        return copy

    def check_image(self) -> None:
        """Raise ValueError if the model can't read the images that it is on; by default, it can."""

    @cached_property
    def image(self) -> ImageShape:
        """Shape of the images that the model is on; ``on`` puts it here, where torch.compile can follow it.

        Raises:
            UsageError: It is on none.
        """
        raise UsageError(
            f"the model {self.name} has no sizes before it is on a data set's images",
            where=f"model {self.name}",
            remedy="take it from a setup, or call on(channels, size)",
        )

    @property
    def hidden(self) -> int:
        """Number of units of the largest state."""
        return max(math.prod(self.shape(layer)) for layer in range(self.depth + 1))

    def view_images(self, x: Tensor) -> Tensor:
        """Return inputs x [r, n, features] as images [r, n, c, h, w]."""
        channels, size = self.image
        return x.reshape(*x.shape[:2], channels, size, size)
