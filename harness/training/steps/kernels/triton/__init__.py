"""The Triton kernels that ``steps.kernels.step`` launches to train residual MLPs.

Axes: r replica, s seed, n sample, i/o features in and out, d width, h inner width, l layer, c class. Weights lie in one
flat tensor [r, P]: a replica's row begins at ``r * stride``, a block at ``blocks + layer * block_stride`` in the row.
Activations are [l, r, n, d]. Nothing is reduced over r and nothing is added atomically: the same launch gives the same
bits. Sums over samples and features run in a fixed order that follows from the tile sizes. The amax of a factor (its
largest absolute number), amax_… [l, r], is raised by all tiles in any order, which does not matter to a maximum. The
number of samples N is not a compile-time constant, so that the last, smaller batch needs no second compilation; nor are
counts and layer numbers, for which Triton would otherwise compile 0, 1 and the rest separately.

``slope`` [r] is λ·c of the penalty (``Penalty.gradient_factor``), whose gradient at a branch's output f is slope·f/N.

Each kernel's docstring states its equations. Tests compare the kernels with the autograd step, which is built on
``harness.batched.layers``, in float64; on a processor they run through Triton's interpreter.
"""
