"""Which cohorts the faster steps can train, asked of what their plug-ins declare. This module loads no torch.

``Rule.backward``, ``Model.architecture`` and ``Penalty.gradient_factor`` name equations that a step may compute with
code of its own. A plug-in that declares none of them, or another, is trained by autograd, which knows no plug-in: to be
correct it needs no edit here.
"""

from __future__ import annotations

from typing import Protocol, cast

from harness.models import Model
from harness.plugins.registry import read_capability
from harness.records import Arm, Cohort
from harness.rules import Rule

ACTIVATIONS = ("gelu", "relu", "tanh")
KERNEL_ACTIVATIONS = ("gelu", "relu")
LARGEST_WIDTH = 1024
LARGEST_HEAD = 32_768  # width × classes, both as powers of two: a program of the head's kernel holds the whole matrix


class ResidualMlp(Protocol):
    """The fields of a model whose architecture is ``residual_mlp``, as ``harness/models/residual_mlp.py`` has them."""

    @property
    def width(self) -> int:
        """Size of every hidden state h_l."""

    @property
    def blocks(self) -> int:
        """Number of blocks."""

    @property
    def expansion(self) -> int:
        """Size of a block's inner layer, as a multiple of the width."""

    @property
    def activation(self) -> str:
        """Function between a block's two products."""

    @property
    def terminal_norm(self) -> bool:
        """Whether a layer norm stands before the head."""

    @property
    def skip(self) -> bool:
        """Whether a block's input is added to its output."""


def residual_mlp(model: Model) -> ResidualMlp | None:
    """Return the model with its fields, if it declares to be a residual MLP."""
    if read_capability(model, "architecture") != "residual_mlp":
        return None
    return cast("ResidualMlp", model)


def fits_explicit(cohort: Cohort) -> bool:
    """Tell whether ``steps.explicit`` can train a cohort: residual MLPs under rules whose gradients it writes out."""
    setup = cohort.setup
    model = residual_mlp(setup.model)
    if model is None or model.activation not in ACTIVATIONS:
        return False
    if setup.precision == "bf16" or setup.optimizer.name != "adamw":
        return False
    return all(_known(arm) for arm in cohort.arms.values())


def fits_kernels(cohort: Cohort) -> bool:
    """Tell whether ``steps.kernels`` can train a cohort on a card: what is explicit, up to a size."""
    model = residual_mlp(cohort.setup.model)
    if model is None or model.activation not in KERNEL_ACTIVATIONS or not fits_explicit(cohort):
        return False
    width, classes = power_of_two(model.width), power_of_two(cohort.setup.dataset.classes)
    return width <= LARGEST_WIDTH and width * classes <= LARGEST_HEAD


def _known(arm: Arm) -> bool:
    """Tell whether an arm's rule and penalty declare equations that are written out."""
    if read_capability(arm.rule, "backward") is None:
        return False
    if arm.penalty is not None and read_capability(arm.penalty, "gradient_factor") is None:
        return False
    return _clips_blocks_alike(arm)


def _clips_blocks_alike(arm: Arm) -> bool:
    """Tell whether a rule clips nothing, or every block to the same norm and nothing else."""
    model = arm.setup.model
    norms = arm.rule.clip_norms(model)
    if not norms:
        return True
    return set(norms) == {f"block_{layer}" for layer in range(model.depth)} and len(set(norms.values())) == 1


def block_clip(rule: Rule, model: Model) -> float | None:
    """Return the largest gradient norm of each block, where ``fits_explicit`` holds; None if nothing is clipped."""
    return next(iter(rule.clip_norms(model).values()), None)


def power_of_two(number: int) -> int:
    """Return the next power of two, at least 16: the smallest side of a product in Triton."""
    return max(16, 1 << (number - 1).bit_length())
