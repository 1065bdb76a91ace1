"""The training step of a residual MLP as Triton kernels: what ``steps.kernels.step`` launches in order.

Axes: r replica, s seed, n sample, i/o features in and out, d width, h inner width, l layer, c class. Weights lie in one
flat tensor [r, P]: a replica's begin at ``r * stride``, a block's at ``blocks + layer * block_stride`` behind that.
Activations are [l, r, n, d]. Nothing is reduced over r and nothing is added atomically: the same launch gives the same
bits. Sums over samples and features run in a fixed order that follows from the tile sizes. The amax of a factor,
amax_… [l, r], its largest absolute number, is raised by all tiles in any order: the largest is the same. The number of
samples N is no constant of a kernel, so that the last, smaller batch needs no second compilation; nor are counts and
numbers of layers, for which Triton would otherwise compile 0, 1 and the rest separately.

``slope`` [r] is λ·c of the penalty (``Penalty.gradient_factor``), whose gradient at a branch's output f is slope·f/N.

Each kernel's equation stands at its head; the plain twin is the same step through ``harness.batched.layers`` and
autograd, and tests compare the two in float64, on a processor through Triton's interpreter.
"""
