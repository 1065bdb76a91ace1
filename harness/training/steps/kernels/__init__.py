"""The kernels' step: residual MLPs trained on a card by launches of this package's own Triton kernels."""
