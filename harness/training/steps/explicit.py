"""A step of residual MLPs under BP and DFA with its gradients written out: what a processor takes.

On a processor small networks spend most of a step on autograd's bookkeeping, on starting operations and on moving what
does not fit the caches. Here are the products, what lies between them in few operations, nearly all of which write
where the step before wrote, and one pass for the update. The plain step in ``steps.autograd`` is the twin that tests
compare this one with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.batched.layers import LAYER_NORM_EPS
from harness.models.residual_mlp import ResidualMlp
from harness.rules.dfa import Dfa
from harness.training.batches import fetch, normalise
from harness.training.steps.explicit_storage import Clip, NormGradients, Stacks

if TYPE_CHECKING:
    from harness.training.program import Program, Share

HELD = 2**22  # numbers of a training split that is normalised once, not at every step: 16 MB
operations = torch.ops.aten


@dataclass(frozen=True)
class Norm:
    """A layer norm without gain and shift, and what it was multiplied by, on [r, n, d]."""

    normal: Tensor
    rstd: Tensor
    """[r, n, 1]."""


@dataclass(frozen=True)
class Block:
    """What a block's forward pass leaves behind, [r, n, …]."""

    norm: Norm
    before: Tensor
    """W1·LN(h)."""
    active: Tensor
    """act of it."""
    branch: Tensor
    """f = W2·act; without a penalty all blocks share it."""

    def of(self, own: slice) -> Block:
        """The same for some replicas."""
        norm = Norm(self.norm.normal[own], self.norm.rstd[own])
        return Block(norm, self.before[own], self.active[own], self.branch[own])


class Buffers:
    """What the steps on batches of one size leave behind, for all replicas: the same memory at every step."""

    def __init__(self, direct: Direct, size: int) -> None:
        program, model = direct.program, direct.model
        d, inner, classes = model.width, model.width * model.expansion, program.dataset.classes

        def new(*shape: int) -> Tensor:
            return program.strength.new_empty(len(program.strength), *shape)

        self.size = size
        self.h, self.out, self.below, self.sent = (new(size, d) for _ in range(4))
        self.one, self.inner = new(size, 1), new(size, inner)
        shared = new(size, d)
        self.blocks = [
            Block(
                norm=Norm(new(size, d), new(size, 1)),
                before=new(size, inner),
                active=new(size, inner),
                branch=shared if program.penalty is None else new(size, d),
            )
            for _ in range(model.blocks)
        ]
        self.head = Norm(new(size, d), new(size, 1))
        # Samples last: products and sums with few columns are slow.
        self.logits, self.error, self.few = new(classes, size), new(classes, size), new(1, size)
        self.minus = torch.full_like(self.few, -1.0)
        self.on_head = new(classes, d)
        self.strength = (program.strength * (2.0 / size)).view(-1, 1, 1)
        """Of the penalty's gradient: λ·mean_n ‖f‖² → 2λ/n·f."""
        self.parts = [Part(direct, self, share) for share in program.shares]


class Back:
    """What a share needs to go back through one block, as views made once: making one takes as long as filling it."""

    def __init__(self, direct: Direct, block: Block, layer: int, own: slice) -> None:
        name = f"block_{layer}"
        self.block = block.of(own)
        self.normal, self.active = self.block.norm.normal.mT, self.block.active.mT
        self.w1, self.w2 = (direct.weights[f"{name}.{kind}.weight"][own].mT for kind in ("w1", "w2"))
        self.gain = direct.rows[f"{name}.norm.weight"][own]
        self.trained = f"{name}.w1.weight" in direct.gradients
        if self.trained:
            self.on_w1, self.on_b1, self.on_w2, self.on_b2 = (
                direct.gradients[f"{name}.{kind}"][own] for kind in ("w1.weight", "w1.bias", "w2.weight", "w2.bias")
            )


class Part:
    """The replicas of one rule, and views of what is theirs."""

    def __init__(self, direct: Direct, buffers: Buffers, share: Share) -> None:
        own, width = share.replicas, direct.model.width
        self.sent, self.below, self.inner = buffers.sent[own], buffers.below[own], buffers.inner[own]
        self.error, self.strength = buffers.error[own].mT, buffers.strength[own]
        self.head_weight = direct.head_weight[own]
        self.backs = [Back(direct, block, layer, own) for layer, block in enumerate(buffers.blocks)]
        if direct.model.terminal_norm:
            self.head, self.head_gain = buffers.head.normal[own], direct.rows["head.norm.weight"][own]
            self.head_rstd = buffers.head.rstd[own]
        self.no_mean = torch.zeros_like(buffers.one[own])
        self.no_rstd = torch.ones_like(self.no_mean)
        # A frozen block needs no credit, and the embedding takes the first one's.
        layers = 1 + max((layer for layer, back in enumerate(self.backs) if back.trained), default=0)
        self.rms = self.no_mean.new_empty(*self.no_mean.shape[:2], layers, 1)
        self.by_layer = self.no_mean.new_empty(*self.no_mean.shape[:2], layers, width)
        self.credit = self.by_layer.flatten(2)
        self.credits = list(self.by_layer.unbind(2))


@dataclass(frozen=True)
class Rate:
    """Neighbouring replicas with one learning rate and weight decay, and views of what is theirs."""

    first: int
    weight_decay: float
    tensors: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
    """Weights, gradients, first and second moments."""


class Direct:
    """The parts of a program's step."""

    divisible = True
    """Whether a checkpoint can hold what is between two steps of an epoch."""

    def __init__(self, program: Program, stacks: Stacks) -> None:
        model = program.model
        assert isinstance(model, ResidualMlp)
        self.program, self.model, self.stacks = program, model, stacks
        self.weights = {name: tensor.detach() for name, tensor in program.params.items()}
        self.gradients = {name: stacks.view(stacks.gradients, name) for name in program.trained}
        self.rows = {name: tensor.unsqueeze(1) for name, tensor in self.weights.items() if tensor.dim() == 2}
        self.head_weight, self.head_bias = self.weights["head.weight"].mT, self.weights["head.bias"].unsqueeze(2)
        blocks = [f"block_{layer}" for layer in range(model.blocks)]
        self.norms = [self._affine(f"{name}.norm") for name in blocks]
        self.linears = [(self._affine(f"{name}.w1"), self._affine(f"{name}.w2")) for name in blocks]
        self.on_norms = NormGradients(stacks) if stacks.kinds else None
        self.clips = [
            Clip([stacks.stack(stacks.gradients, kind)[:, share.replicas] for kind in stacks.kinds], share.rule.clip)
            for share in program.shares
            if isinstance(share.rule, Dfa) and share.rule.clip is not None and stacks.kinds
        ]
        self.rates = self._rates()
        self.buffers: dict[int, Buffers] = {}
        self.eps = torch.full_like(program.strength[:1], LAYER_NORM_EPS)
        self.images = None
        if not program.dataset.augment and program.train.images.numel() <= HELD:
            self.images = normalise(program.train, program.train.images).flatten(1)
        self.lr: list[float] = []
        self.feedback: list[Tensor | None] = []
        self.step = torch.zeros(())

    def _rates(self) -> list[Rate]:
        program, stacks = self.program, self.stacks
        pairs = list(zip(program.base_lr, program.weight_decay.tolist(), strict=True))
        starts = [r for r in range(len(pairs)) if r == 0 or pairs[r] != pairs[r - 1]]
        kinds = (stacks.weights[: stacks.trained], stacks.gradients, stacks.first, stacks.second)
        if len(starts) == 1:
            of, on, first, second = ([kind] for kind in kinds)
            return [Rate(0, pairs[0][1], (of, on, first, second))]
        rates = []
        for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
            of, on, first, second = ([stacks.view(kind, name)[start:end] for name in program.trained] for kind in kinds)
            rates.append(Rate(start, pairs[start][1], (of, on, first, second)))
        return rates

    def _affine(self, name: str) -> tuple[Tensor, Tensor]:
        """A linear layer's weight [r, i, o] or a norm's [r, 1, d], and the bias [r, 1, o]."""
        return self.rows.get(f"{name}.weight", self.weights[f"{name}.weight"]), self.rows[f"{name}.bias"]

    def compile(self) -> None:
        """Nothing."""

    def begin_epoch(self, epoch: int) -> None:
        """The epoch's rates, the steps before it, what each replica sees, and the layers' feedback side by side."""
        program = self.program
        self.lr = program.lr.tolist()
        self.step.fill_(program.steps.item())
        self.schedule = program.schedule
        if program.copies is not None:
            self.schedule = program.schedule.index_select(0, program.copies)
        self.index = self.schedule[..., 0].long()
        self.feedback = [torch.cat(list(s.feedback.values()), -1) if s.feedback else None for s in program.shares]

    def end_epoch(self) -> None:
        """Hand the number of steps to the program."""
        self.program.steps.fill_(self.step.item())

    def advance(self, size: int, steps: int) -> None:
        """After ``steps`` launches of batches of ``size``."""
        self.program.cursor += size * steps

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """One step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor; nothing for ``more``."""
        program = self.program
        start = int(program.cursor) + ahead * size
        if size not in self.buffers:
            self.buffers[size] = Buffers(self, size)
        buffers = self.buffers[size]
        with torch.inference_mode():  # which starts operations a little faster than no_grad
            x, y = self._batch(start, size)
            seen = self._forward(buffers, x)
            self._head(buffers, seen, y.unsqueeze(1))
            for part, feedback in zip(buffers.parts, self.feedback, strict=True):
                if feedback is not None:
                    self._local(buffers, part, feedback)
                else:
                    self._backward(part)
            if "embedding.weight" in self.gradients:
                torch.bmm(x.mT, buffers.sent, out=self.gradients["embedding.weight"])
                torch.sum(buffers.sent, 1, out=self.gradients["embedding.bias"])
            if self.on_norms is not None:
                self.on_norms()
            for clip in self.clips:
                clip()
            self._update()

    def _batch(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """x [r, n, i] and labels [r, n] of ``size`` schedule rows."""
        train, rows = self.program.train, slice(start, start + size)
        if self.images is None:
            return fetch(train, self.program.dataset, self.schedule[:, rows])
        index = self.index[:, rows].flatten()
        x, y = self.images.index_select(0, index), train.labels.index_select(0, index)
        return x.view(-1, size, x.shape[-1]), y.view(-1, size)

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

    def _forward(self, buffers: Buffers, x: Tensor) -> Tensor:
        """What the head sees of a batch x [r, n, i]: [r, n, d]."""
        h = torch.baddbmm(self.rows["embedding.bias"], x, self.weights["embedding.weight"], out=buffers.h)
        for block, affine, ((w1, b1), (w2, b2)) in zip(buffers.blocks, self.norms, self.linears, strict=True):
            torch.baddbmm(b1, self._norm(buffers, affine, block.norm, h), w1, out=block.before)
            self._activate(block)
            torch.baddbmm(b2, block.active, w2, out=block.branch)
            h = h.add_(block.branch) if self.model.skip else block.branch
        return self._norm(buffers, self._affine("head.norm"), buffers.head, h) if self.model.terminal_norm else h

    def _norm(self, buffers: Buffers, affine: tuple[Tensor, Tensor], norm: Norm, h: Tensor) -> Tensor:
        """Layer norm of h [r, n, d], in memory that the next one takes again."""
        gain, shift = affine
        width = h.shape[-1]
        torch.sum(h, -1, keepdim=True, out=buffers.one)
        torch.sub(h, buffers.one, alpha=1.0 / width, out=norm.normal)
        length = torch.linalg.vector_norm(norm.normal, dim=-1, keepdim=True, out=buffers.one)
        torch.addcmul(self.eps, length, length, value=1.0 / width, out=norm.rstd).rsqrt_()
        return torch.addcmul(shift, norm.normal.mul_(norm.rstd), gain, out=buffers.out)

    def _head(self, buffers: Buffers, seen: Tensor, label: Tensor) -> None:
        """Loss, error softmax − onehot [r, c, n] and the head's gradients; label [r, 1, n]."""
        logits, error, few = buffers.logits, buffers.error, buffers.few
        torch.baddbmm(self.head_bias, self.head_weight, seen.mT, out=logits)
        logits.sub_(torch.amax(logits, 1, keepdim=True, out=few))
        torch.exp(logits, out=error)
        error.div_(torch.sum(error, 1, keepdim=True, out=few))
        self.program.loss_sum.add_((few.log_() - logits.gather(1, label)).sum((1, 2)))
        error.scatter_add_(1, label, buffers.minus)
        if "head.weight" not in self.gradients:
            return
        at_head = torch.mul(error, 1.0 / buffers.size, out=logits)
        self.gradients["head.weight"].copy_(torch.bmm(at_head, seen, out=buffers.on_head).mT)
        torch.sum(at_head, 2, out=self.gradients["head.bias"])
        if self.model.terminal_norm:
            sent = torch.bmm(at_head.mT, self.head_weight, out=buffers.below)
            torch.sum(sent, 1, out=self.gradients["head.norm.bias"])
            torch.sum(sent.mul_(buffers.head.normal), 1, out=self.gradients["head.norm.weight"])

    def _local(self, buffers: Buffers, part: Part, feedback: Tensor) -> None:
        """DFA: each block's branch gets â_l/n, the embedding the first block's; feedback [r, c, blocks·d]."""
        credit, rms = part.credit, part.rms
        torch.bmm(part.error, feedback[..., : credit.shape[-1]], out=credit)
        torch.linalg.vector_norm(part.by_layer, dim=-1, keepdim=True, out=rms)
        rms.mul_(buffers.size / math.sqrt(self.model.width)).add_(1e-6 * buffers.size)
        part.by_layer.div_(rms)
        for back, sent in zip(part.backs, part.credits, strict=False):
            if back.trained:
                self._block_back(part, back, sent)
        part.sent.copy_(part.credits[0])

    def _backward(self, part: Part) -> None:
        """BP: from the error down to the embedding."""
        sent = torch.bmm(part.error, part.head_weight, out=part.sent)
        sent.mul_(1.0 / sent.shape[1])
        if self.model.terminal_norm:
            torch.mul(self._norm_back(part, part.head, part.head_gain, sent), part.head_rstd, out=sent)
        for back in reversed(part.backs):
            below = torch.bmm(self._block_back(part, back, sent), back.w1, out=part.below)
            below = self._norm_back(part, back.block.norm.normal, back.gain, below)
            if self.model.skip:
                sent.addcmul_(below, back.block.norm.rstd)
            else:
                torch.mul(below, back.block.norm.rstd, out=sent)

    def _block_back(self, part: Part, back: Back, sent: Tensor) -> Tensor:
        """From the gradient at a branch's output to the one before its activation, with the gradients of its weights.

        That of W1 is left to ``NormGradients``, as are those of the norm.
        """
        if self.program.penalty is not None:
            sent = torch.addcmul(sent, back.block.branch, part.strength, out=part.below)
        if back.trained:
            torch.bmm(back.active, sent, out=back.on_w2)
            torch.sum(sent, 1, out=back.on_b2)
        inner = torch.bmm(sent, back.w2, out=part.inner)
        self._activate_back(back.block, inner)
        if back.trained:
            torch.bmm(back.normal, inner, out=back.on_w1)
            torch.sum(inner, 1, out=back.on_b1)
        return inner

    def _norm_back(self, part: Part, normal: Tensor, gain: Tensor, sent: Tensor) -> Tensor:
        """From the gradient at a norm's output that at its input but for a factor rstd; ``sent`` is overwritten."""
        found: Tensor = operations.native_layer_norm_backward(
            sent.mul_(gain), normal, sent.shape[-1:], part.no_mean, part.no_rstd, None, None, [True, False, False]
        )[0]
        return found

    def _activate(self, block: Block) -> None:
        kind = self.model.activation
        if kind == "gelu":
            operations.gelu.out(block.before, out=block.active)
        elif kind == "relu":
            torch.clamp_min(block.before, 0.0, out=block.active)
        else:
            torch.tanh(block.before, out=block.active)

    def _activate_back(self, block: Block, sent: Tensor) -> None:
        """In place."""
        kind = self.model.activation
        if kind == "gelu":
            operations.gelu_backward.grad_input(sent, block.before, grad_input=sent)
        elif kind == "relu":
            operations.threshold_backward.grad_input(sent, block.active, 0, grad_input=sent)
        else:
            operations.tanh_backward.grad_input(sent, block.active, grad_input=sent)
