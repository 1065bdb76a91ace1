"""Tests for which cohorts the faster steps can train, from what their plug-ins declare. This module loads no torch.

``Rule.backward``, ``Model.architecture`` and ``Penalty.gradient_factor`` name equations that a step may compute with
code of its own. A plug-in that declares none of them, or others, is trained by autograd, which knows no plug-in by
name and is therefore correct for all of them.
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
LARGEST_HEAD = 32_768  # width × classes, both as powers of two: one program of the head's kernel holds the matrix


class ResidualMlp(Protocol):
    """The fields of a model with the architecture ``residual_mlp``, as in ``harness/models/residual_mlp.py``."""

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
        """Activation function between a block's two products."""

    @property
    def terminal_norm(self) -> bool:
        """True if a layer norm precedes the head."""

    @property
    def skip(self) -> bool:
        """True if a block's input is added to its output."""


def as_residual_mlp(model: Model) -> ResidualMlp | None:
    """Return the model with its fields if it declares itself a residual MLP, otherwise None."""
    if read_capability(model, "architecture") != "residual_mlp":
        return None
    return cast("ResidualMlp", model)


def fits_explicit(cohort: Cohort) -> bool:
    """Tell whether ``steps.explicit`` can train a cohort: residual MLPs under rules with explicit gradients."""
    setup = cohort.setup
    model = as_residual_mlp(setup.model)
    if model is None or model.activation not in ACTIVATIONS:
        return False
    if setup.precision == "bf16" or setup.optimizer.name != "adamw":
        return False
    return all(_is_implemented(arm) for arm in cohort.arms.values())


def fits_kernels(cohort: Cohort) -> bool:
    """Tell whether ``steps.kernels`` can train a cohort on a card: explicit gradients, up to a size."""
    model = as_residual_mlp(cohort.setup.model)
    if model is None or model.activation not in KERNEL_ACTIVATIONS or not fits_explicit(cohort):
        return False
    width, classes = next_power_of_two(model.width), next_power_of_two(cohort.setup.dataset.classes)
    return width <= LARGEST_WIDTH and width * classes <= LARGEST_HEAD


def _is_implemented(arm: Arm) -> bool:
    """Tell whether an arm's rule and penalty declare equations that the faster steps implement."""
    if read_capability(arm.rule, "backward") is None:
        return False
    if arm.penalty is not None and read_capability(arm.penalty, "gradient_factor") is None:
        return False
    return _clips_blocks_alike(arm)


def _clips_blocks_alike(arm: Arm) -> bool:
    """Tell whether a rule clips nothing, or only the blocks and all of them to the same norm."""
    model = arm.setup.model
    norms = arm.rule.clip_norms(model)
    if not norms:
        return True
    return set(norms) == {f"block_{layer}" for layer in range(model.depth)} and len(set(norms.values())) == 1


def find_block_clip(rule: Rule, model: Model) -> float | None:
    """Return the maximum gradient norm of each block, if ``fits_explicit`` holds; None if nothing is clipped."""
    return next(iter(rule.clip_norms(model).values()), None)


def next_power_of_two(number: int) -> int:
    """Return the next power of two, at least 16, which is Triton's smallest side of a product."""
    return max(16, 1 << (number - 1).bit_length())
