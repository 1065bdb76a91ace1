"""A step of residual MLPs under BP and DFA with its gradients written out: what a processor takes.

On a processor small networks spend most of a step on autograd's bookkeeping and on AdamW's many passes over memory.
Here are the products, what lies between them, and one pass for the update. The plain step in ``harness.engine.plain``
is the twin that tests compare this one with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.batched import adamw
from harness.batched.layers import LAYER_NORM_EPS, activate, linear
from harness.engine.batches import fetch
from harness.engine.device import precision
from harness.models.residual_mlp import ResidualMlp
from harness.rules.dfa import Dfa

if TYPE_CHECKING:
    from harness.engine.program import Program, Share


class Norm:
    """A layer norm's output for h [r, n, d], and what its gradients need."""

    def __init__(self, p: dict[str, Tensor], name: str, h: Tensor) -> None:
        self.name, self.h, self.weight = name, h, p[f"{name}.weight"].unsqueeze(1)
        self.mean = h.mean(-1, keepdim=True)
        self.normal = h - self.mean
        length = torch.linalg.vector_norm(self.normal, dim=-1, keepdim=True)
        self.rstd = (length.square_() / h.shape[-1]).add_(LAYER_NORM_EPS).rsqrt_()
        self.normal *= self.rstd
        self.out = torch.addcmul(p[f"{name}.bias"].unsqueeze(1), self.normal, self.weight)

    def parameters_back(self, gradients: dict[str, Tensor], sent: Tensor) -> None:
        """From the gradient at the output, those of weight and bias, unless they are frozen."""
        if f"{self.name}.weight" not in gradients:
            return
        torch.sum(sent * self.normal, 1, out=gradients[f"{self.name}.weight"])
        torch.sum(sent, 1, out=gradients[f"{self.name}.bias"])

    def back(self, sent: Tensor) -> Tensor:
        """From the gradient at the output, that at h."""
        found: Tensor = torch.ops.aten.native_layer_norm_backward(
            sent * self.weight, self.h, self.h.shape[-1:], self.mean, self.rstd, None, None, [True, False, False]
        )[0]
        return found


@dataclass(frozen=True)
class Block:
    """What a block's forward pass leaves behind, [r, n, …]."""

    norm: Norm
    before: Tensor
    """W1·LN(h)."""
    active: Tensor
    """act of it."""
    branch: Tensor
    """f = W2·act."""


@dataclass(frozen=True)
class Part:
    """The replicas of one rule, and views of what is theirs."""

    share: Share
    params: dict[str, Tensor]
    gradients: dict[str, Tensor]
    strength: Tensor
    clips: list[tuple[list[Tensor], float]]
    """Gradients that are clipped together, and their largest norm."""


@dataclass(frozen=True)
class Rate:
    """Neighbouring replicas with one learning rate and weight decay, and views of what is theirs."""

    first: int
    weight_decay: float
    tensors: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
    """Weights, gradients, first and second moments."""


class Direct:
    """The parts of a program's step."""

    def __init__(self, program: Program) -> None:
        model = program.model
        assert isinstance(model, ResidualMlp)
        self.program, self.model = program, model
        self.weights = {name: tensor.detach() for name, tensor in program.params.items()}
        self.gradients = {name: torch.zeros_like(self.weights[name]) for name in program.trained}
        self.parts = [self._part(share) for share in program.shares]
        self.rates = self._rates()
        self.lr: list[float] = []
        self.step = torch.zeros(())

    def _part(self, share: Share) -> Part:
        program, own = self.program, share.replicas
        gradients = {name: tensor[own] for name, tensor in self.gradients.items()}
        clips = [([gradients[name] for name in names], largest) for names, largest in program.clipped(share)]
        params = {name: tensor[own] for name, tensor in self.weights.items()}
        return Part(share, params, gradients, program.strength[own], clips)

    def _rates(self) -> list[Rate]:
        program = self.program
        pairs = list(zip(program.base_lr, program.weight_decay.tolist(), strict=True))
        starts = [r for r in range(len(pairs)) if r == 0 or pairs[r] != pairs[r - 1]]
        kinds = (self.weights, self.gradients, program.first, program.second)
        rates = []
        for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
            of, on, first, second = ([kind[name][start:end] for name in program.trained] for kind in kinds)
            rates.append(Rate(start, pairs[start][1], (of, on, first, second)))
        return rates

    def compile(self) -> None:
        """Nothing."""

    def begin_epoch(self, epoch: int) -> None:
        """The epoch's rates, and the steps before it."""
        self.lr = self.program.lr.tolist()
        self.step.fill_(self.program.steps.item())

    def end_epoch(self) -> None:
        """Hand the number of steps to the program."""
        self.program.steps.fill_(self.step.item())

    def advance(self, size: int, steps: int) -> None:
        """After ``steps`` launches of batches of ``size``."""
        self.program.cursor += size * steps

    def launch(self, size: int, ahead: int = 0) -> None:
        """One step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor."""
        program = self.program
        start = int(program.cursor) + ahead * size
        with torch.no_grad(), precision(program.setup.precision, program.device):
            x, y = fetch(program.train, program.dataset, program.schedule[:, start : start + size], program.copies)
            for part in self.parts:
                own = part.share.replicas
                program.loss_sum[own] += self._descend(part, x[own], y[own]).double() * size
                for members, largest in part.clips:
                    clip(members, largest)
            self._update()

    def _update(self) -> None:
        """AdamW for all tensors in one call per rate: what ``torch.optim.AdamW(fused=True)`` calls."""
        optimizer = self.program.setup.optimizer
        self.step += 1
        for rate in self.rates:
            torch._fused_adamw_(
                *rate.tensors, [], [self.step] * len(rate.tensors[0]), lr=self.lr[rate.first],
                beta1=optimizer.beta1, beta2=optimizer.beta2, weight_decay=rate.weight_decay, eps=optimizer.eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip

    def _descend(self, part: Part, x: Tensor, y: Tensor) -> Tensor:
        """Leave the gradients of a batch x [r, n, i], y [r, n] in the part's tensors; its mean cross entropy [r]."""
        p, g, model, rule = part.params, part.gradients, self.model, part.share.rule
        h = linear(x, p["embedding.weight"], p["embedding.bias"])
        blocks = []
        for layer in range(model.blocks):
            blocks.append(self._block(p, f"block_{layer}", h))
            h = model.join(h, blocks[-1].branch)
        norm = Norm(p, "head.norm", h) if model.terminal_norm else None
        seen = norm.out if norm is not None else h
        logits = linear(seen, p["head.weight"], p["head.bias"])
        loss, error = cross_entropy_and_error(logits, y)

        at_head = error / x.shape[1]
        linear_back(g, "head", seen, at_head)
        local = isinstance(rule, Dfa)
        if not local or "head.norm.weight" in g:
            sent = torch.bmm(at_head, p["head.weight"].mT)
        if norm is not None and "head.norm.weight" in g:
            norm.parameters_back(g, sent)
        if local:
            sent = self._credit(part, error, 0)
            for layer, block in enumerate(blocks):
                if f"block_{layer}.w1.weight" in g:
                    self._block_back(part, layer, block, self._credit(part, error, layer) if layer else sent)
        else:
            sent = norm.back(sent) if norm is not None else sent
            for layer in reversed(range(model.blocks)):
                below = blocks[layer].norm.back(self._block_back(part, layer, blocks[layer], sent))
                sent = sent + below if model.skip else below
        linear_back(g, "embedding", x, sent)
        return loss.mean(-1)

    def _block(self, p: dict[str, Tensor], at: str, h: Tensor) -> Block:
        norm = Norm(p, f"{at}.norm", h)
        before = linear(norm.out, p[f"{at}.w1.weight"], p[f"{at}.w1.bias"])
        active = activate(before, self.model.activation)
        return Block(norm, before, active, linear(active, p[f"{at}.w2.weight"], p[f"{at}.w2.bias"]))

    def _credit(self, part: Part, error: Tensor, layer: int) -> Tensor:
        """What DFA hands a block's branch: â_l/n [r, n, d]."""
        credit = part.share.rule.credit(self.model, part.share.feedback, error, layer)
        rms: Tensor = torch.linalg.vector_norm(credit, dim=-1, keepdim=True) / math.sqrt(credit.shape[-1])
        return credit / ((rms + 1e-6) * credit.shape[1])

    def _block_back(self, part: Part, layer: int, block: Block, sent: Tensor) -> Tensor:
        """From the gradient at a branch's output, those of the block's weights, and that at its norm's output."""
        p, g, at = part.params, part.gradients, f"block_{layer}"
        if self.program.penalty is not None:  # λ·mean_n ‖f‖²
            sent = torch.addcmul(sent, block.branch, (2.0 / sent.shape[1] * part.strength).view(-1, 1, 1))
        linear_back(g, f"{at}.w2", block.active, sent)
        sent = torch.bmm(sent, p[f"{at}.w2.weight"].mT)
        sent = self._activation_back(block, sent)
        linear_back(g, f"{at}.w1", block.norm.out, sent)
        sent = torch.bmm(sent, p[f"{at}.w1.weight"].mT)
        block.norm.parameters_back(g, sent)
        return sent

    def _activation_back(self, block: Block, sent: Tensor) -> Tensor:
        operations, kind = torch.ops.aten, self.model.activation
        found: Tensor
        if kind == "gelu":
            found = operations.gelu_backward(sent, block.before)
        elif kind == "relu":
            found = operations.threshold_backward(sent, block.active, 0)
        else:
            found = operations.tanh_backward(sent, block.active)
        return found


def cross_entropy_and_error(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy [r, n] and its gradient softmax − onehot [r, n, c] at once; PyTorch's softmax over few is slow."""
    logits = logits - logits.amax(-1, keepdim=True)
    error = logits.exp()
    total = error.sum(-1, keepdim=True)
    label = y.unsqueeze(-1)
    loss = total.log() - logits.gather(-1, label)
    error /= total
    error.scatter_add_(-1, label, error.new_tensor(-1.0).expand(label.shape))
    return loss.squeeze(-1), error


def linear_back(gradients: dict[str, Tensor], name: str, x: Tensor, sent: Tensor) -> None:
    """From a linear layer's input and the gradient at its output, those of weight and bias, unless it is frozen."""
    if f"{name}.weight" in gradients:
        torch.bmm(x.mT, sent, out=gradients[f"{name}.weight"])
        torch.sum(sent, 1, out=gradients[f"{name}.bias"])


def clip(gradients: list[Tensor], largest: float) -> None:
    """Bring the joint norm of [r, …] tensors down to ``largest``, for each replica."""
    scales = adamw.clip_scales(gradients, largest)
    if bool((scales < 1.0).any()):
        for gradient in gradients:
            gradient.mul_(scales.view(-1, *([1] * (gradient.dim() - 1))))
