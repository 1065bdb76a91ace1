"""A step of any model under any rule through autograd: the plain twin of the other two."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.batched import adamw
from harness.rules import Objective
from harness.storage import working_folder
from harness.training.batches import fetch
from harness.training.device import precision

if TYPE_CHECKING:
    from harness.training.program import Program, Share


@dataclass(frozen=True)
class Parts:
    """The parts of a step between which nothing is fused: as they are, or compiled."""

    gather: Callable[[Tensor], tuple[Tensor, Tensor]]
    objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    clip: Callable[[dict[str, Tensor]], dict[str, Tensor]]

    def compiled(self) -> Parts:
        """The same functions with their elementwise work fused by torch.compile; products stay with cuBLAS.

        Shapes are fixed. Artefacts are kept between runs. No order of summation is chosen
        by time: the next time it could be another, and a resumed run would not come to the same bits.
        """
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(working_folder("inductor")))
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, options={"deterministic": True})
        return Parts(gather=compiled(self.gather), objective=compiled(self.objective), clip=compiled(self.clip))


class Plain:
    """The parts of a program's step, and what they hand on to one another."""

    divisible = True
    """Whether a checkpoint can hold what is between two steps of an epoch."""

    def __init__(self, program: Program, compiled: bool) -> None:
        self.program = program
        self.parts = Parts(self._gather, self._objective, self._clip)
        self.fast = self.parts.compiled() if compiled else self.parts
        setup, like = program.setup.optimizer, program.strength
        self.betas = (setup.beta1, setup.beta2)
        self.rates = adamw.Rates(
            lr=program.lr,
            weight_decay=program.weight_decay,
            correction1=torch.ones_like(like[0]),
            correction2=torch.ones_like(like[0]),
            constants=adamw.constants(*self.betas, setup.eps, like),
        )
        self.update = adamw.fused_update if program.device.is_cuda else adamw.update
        self.clips = [(share, program.clipped(share)) for share in program.shares]

    def compile(self) -> None:
        """Nothing: that happens at the first launch."""

    def begin_epoch(self, epoch: int) -> None:
        """Nothing: what a step needs, it counts itself."""

    def end_epoch(self) -> None:
        """Nothing: the loss is where the program looks for it."""

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """One step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor; nothing for ``more``.

        Only the full batch is compiled: a smaller one comes once per epoch and would not earn its compilation back.
        """
        program = self.program
        parts = self.fast if size == program.setup.batch_size else self.parts
        with precision(program.setup.precision, program.device):
            at = program.cursor + torch.arange(ahead * size, (ahead + 1) * size, device=program.device.torch)
            x, y = parts.gather(program.schedule.index_select(1, at))
            descend, cross_entropy = parts.objective(x, y)
            trained = [program.params[name] for name in program.trained]
            gradients = dict(zip(program.trained, torch.autograd.grad(descend, trained), strict=True))
        with torch.no_grad():
            program.steps += 1
            for correction, beta, power in (
                (self.rates.correction1, self.betas[0], 1.0),
                (self.rates.correction2, self.betas[1], 0.5),
            ):
                correction.copy_((1.0 - beta**program.steps) ** power)
            scales = parts.clip(gradients)
            for name in program.trained:
                self.update(
                    program.params[name],
                    gradients[name],
                    program.first[name],
                    program.second[name],
                    self.rates,
                    scales.get(name),
                )
            program.loss_sum += cross_entropy.double() * size

    def advance(self, size: int, steps: int) -> None:
        """After ``steps`` launches of batches of ``size``."""
        self.program.cursor += size * steps

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Schedule rows → x [r, n, features] and y [r, n]; arms of a seed see the same."""
        program = self.program
        return fetch(program.train, program.dataset, rows, program.copies)

    def _objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What the step descends, summed over replicas, and the cross entropy of each.

        Replicas share no term of the sum, so its gradient is each replica's own.
        """
        found = [self._share(share, x[share.replicas], y[share.replicas]) for share in self.program.shares]
        descend = torch.stack([one.descend.sum() for one in found]).sum()
        return descend, torch.cat([one.cross_entropy for one in found])

    def _share(self, share: Share, x: Tensor, y: Tensor) -> Objective:
        program, params = self.program, self.program.params
        if len(program.shares) > 1:  # a slice is copied on the way back, so the only share takes what there is
            params = {name: tensor[share.replicas] for name, tensor in params.items()}
        penalty, strength = program.penalty, program.strength[share.replicas]
        weighted = None if penalty is None else lambda branch: strength * penalty.value(branch)
        return share.rule.objective(program.model, params, share.feedback, x, y, weighted)

    def _clip(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parameter → factor [r] on its gradient, for the groups that a rule clips."""
        scales: dict[str, Tensor] = {}
        for share, clips in self.clips:
            for names, largest in clips:
                own = adamw.clip_scales([gradients[name][share.replicas] for name in names], largest)
                whole = scales.get(names[0], torch.ones_like(self.program.strength)).clone()
                whole[share.replicas] = own
                scales |= dict.fromkeys(names, whole)
        return scales
