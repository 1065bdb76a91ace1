"""Greedy local losses: pred, sim and predsim (Nøkland and Eidnes 2019, arXiv 1901.06656)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import OWN, Objective, Rule
from harness.rules._local import pass_locally, penalise

if TYPE_CHECKING:
    from torch import Tensor

EPS = 1e-12


class LocalGreedy(Rule):
    """Every part descends a loss of its own output h: (1 − β)·loss(hV, y) + β·mean_nm (sim(hP) − sim(t))²_nm.

    sim(u) = Û Ûᵀ, where the rows of Û [n, d] are those of u, centred over units and normalised: samples of a class
    shall point the same way. Parts are embedding and blocks. V [d, C] begins at 0 and P [d, d] as weights do; both are
    trained along. The head descends the loss on detached h_L.

    Equation:
        (1 − β)·ℓ(hV, y) + β·‖sim(hP) − sim(t)‖²_mean,  sim(u) = Û Ûᵀ

    Source:
        Nøkland and Eidnes 2019, arXiv 1901.06656.

    Use:
        The strongest rule here without any signal from above: each part has a loss of its own.

    Traps:
        The similarity loss couples the samples of a batch, so that results depend on the batch size, and its cost
        grows with the batch squared. The source trains with batch norm, dropout and long schedules; its figures are
        not those of a network without them. V begins at zero, so at the first step only the similarity loss trains a
        part.
    """

    name: Literal["local_greedy"]
    local: ClassVar[bool] = True
    similarity: Annotated[float, Unit("1")] = Field(default=0.99, ge=0, le=1)
    """Share β of the similarity loss: 0 is the source's pred, 1 its sim, and 0.99 (default) its predsim."""

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True unless P tells apart states that are not zero: neither V nor states of zero tell units apart."""
        return silent or self.similarity == 0

    def explain_misfit(self, model: Model) -> tuple[str, str] | None:
        """Refuse similarities of states that are no vectors, which the source takes from deviations of channels."""
        if self.similarity > 0 and any(len(model.shape(site)) > 1 for site in range(model.depth + 1)):
            why = "compares vectors only: of maps and tokens, the source compares the deviation of every channel"
            return why, "use similarity: 0, or a model whose states are vectors"
        return None

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return V of every part, unless β is 1, and P, unless β is 0; they are frozen with their part."""
        found = []
        for site in range(model.depth + 1):
            size, group = math.prod(model.shape(site)), f"block_{site - 1}" if site else "embedding"
            if self.similarity < 1:
                found.append(TensorSpec(f"{OWN}predict_{site}", (size, classes), Init("constant", 0.0), group))
            if self.similarity > 0:
                found.append(TensorSpec(f"{OWN}compare_{site}", (size, size), Init("uniform", size**-0.5), group))
        return tuple(found)

    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[..., Tensor] | None,
        loss: Loss,
    ) -> Objective:
        """Compute one forward pass, detached between parts, and a loss for every part."""
        done = pass_locally(model, p, x)
        value = loss.value(done.logits, y).mean(-1)
        descend = value
        wanted = compare(loss.targets(done.logits.detach(), y))
        for site, h in enumerate(done.sites):
            if not h.requires_grad:  # a frozen part descends nothing
                continue
            flat = h.flatten(2)
            if self.similarity < 1:
                guess = loss.value(flat @ p[f"{OWN}predict_{site}"], y).mean(-1)
                descend = descend + (1.0 - self.similarity) * guess
            if self.similarity > 0:
                apart = compare(flat @ p[f"{OWN}compare_{site}"]) - wanted
                descend = descend + self.similarity * apart.square().mean((1, 2))
        descend = penalise(descend, done.branches, done.joined, penalty)
        return Objective(descend=descend, loss=value.detach())


def compare(u: Tensor) -> Tensor:
    """Return the correlations [r, n, n] of the rows of u [r, n, d] of each replica; those of a constant row are 0."""
    centred = u - u.mean(-1, keepdim=True)
    unit = centred * (centred.square().sum(-1, keepdim=True) + EPS).rsqrt()
    return unit @ unit.mT


plugin = LocalGreedy
