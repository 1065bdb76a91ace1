"""Windows that move over images, described without torch."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """The square window of a convolution or of pooling, and how it moves over an image."""

    side: int
    stride: int = 1
    padding: int = 0

    def count(self, size: int) -> int:
        """Return the number of places of the window along a side of ``size``; less than 1 if it doesn't fit."""
        return (size + 2 * self.padding - self.side) // self.stride + 1
