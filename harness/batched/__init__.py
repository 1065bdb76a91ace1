"""Replica-first building blocks. Axes: r replica, n sample of a batch, i/o features in and out, d hidden, c class.

Weights are stacked as [r, i, o], activations as [r, n, d]. No operation reduces over r, so that replicas never affect
each other. ``specs`` and ``keyed`` need only Python and NumPy; the other modules need torch.
"""
