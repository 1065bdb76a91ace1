"""Replica-first building blocks. Axes: r replica, n sample of a batch, i/o features in and out, d hidden, c class.

Weights are stacked as [r, i, o], activations as [r, n, d]; nothing here ever reduces over r, so no replica can touch
another. ``specs`` and ``keyed`` are plain Python and NumPy; the rest needs torch.
"""
