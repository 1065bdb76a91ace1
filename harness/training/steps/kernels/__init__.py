"""The step of residual MLPs on a card, as launches of this package's own Triton kernels."""
