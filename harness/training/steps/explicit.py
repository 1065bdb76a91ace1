"""A step of residual MLPs under BP and DFA with its gradients written out: what a processor takes.

On a processor small networks spend most of a step on autograd's bookkeeping, on starting operations and on moving what
does not fit the caches. Here are the products, what lies between them in few operations, nearly all of which write
where the step before wrote, and one pass for the update. The autograd step is the twin that tests compare it with.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.batched.layers import LAYER_NORM_EPS
from harness.training.batches import fetch, normalise
from harness.training.steps.explicit_buffers import Back, Block, Buffers, Norm, Part, Views
from harness.training.steps.explicit_storage import Clip, NormGradients, StackedStorage
from harness.training.steps.explicit_update import FusedAdamW
from harness.training.steps.interface import TrainingStep
from harness.training.steps.state import TrainingState
from harness.training.steps.supports import block_clip, residual_mlp

HELD = 2**22  # numbers of a training split that is normalised once, not at every step: 16 MB
operations = torch.ops.aten


class ExplicitStep(TrainingStep):
    """The operations of a step, forward and back, and the memory between them."""

    divisible = True

    def __init__(self, state: TrainingState[StackedStorage]) -> None:
        model = residual_mlp(state.model)
        assert model is not None
        self.state, self.model = state, model
        storage = state.storage
        self.views = views = Views(storage, model)
        self.weights, self.gradients = views.weights, views.gradients
        self.on_norms = NormGradients(storage) if storage.kinds else None
        self.clips = [
            Clip([storage.stack(storage.gradients, kind)[:, group.replicas] for kind in storage.kinds], largest)
            for group in state.rule_groups
            if storage.kinds and (largest := block_clip(group.rule, state.model)) is not None
        ]
        self.update = FusedAdamW(state)
        self.buffers: dict[int, Buffers] = {}
        self.eps = torch.full_like(state.lr[:1], LAYER_NORM_EPS)
        self.rows_by_replica = state.rows_by_replica()
        self.images = None
        if not state.dataset.augment and state.train.images.numel() <= HELD:
            self.images = normalise(state.train, state.train.images).flatten(1)
        self.feedback: list[Tensor | None] = []

    def begin_epoch(self, epoch: int) -> None:
        """Take over the epoch's rates, the steps before it, what each replica sees, and the layers' feedback."""
        state = self.state
        self.update.lr = state.lr.tolist()
        self.update.step.fill_(state.steps.item())
        self.schedule = state.schedule
        if self.rows_by_replica is not None:
            self.schedule = state.schedule.index_select(0, self.rows_by_replica)
        self.index = self.schedule[..., 0].long()
        self.feedback = [
            torch.cat(list(group.feedback.values()), -1) if group.rule.backward == "direct_feedback" else None
            for group in state.rule_groups
        ]

    def end_epoch(self) -> None:
        """Hand the number of steps to the state."""
        self.state.steps.fill_(self.update.step.item())

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.state.cursor.add_(size * steps)

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor."""
        start = int(self.state.cursor) + ahead * size
        if size not in self.buffers:
            self.buffers[size] = Buffers(self.state, self.model, self.views, size)
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
            self.update()

    def _batch(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """Look up x [r, n, i] and labels [r, n] of ``size`` schedule rows."""
        train, rows = self.state.train, slice(start, start + size)
        if self.images is None:
            return fetch(train, self.state.dataset, self.schedule[:, rows])
        index = self.index[:, rows].flatten()
        x, y = self.images.index_select(0, index), train.labels.index_select(0, index)
        return x.view(-1, size, x.shape[-1]), y.view(-1, size)

    def _forward(self, buffers: Buffers, x: Tensor) -> Tensor:
        """Compute what the head sees of a batch x [r, n, i]: [r, n, d]."""
        h = torch.baddbmm(self.views.rows["embedding.bias"], x, self.weights["embedding.weight"], out=buffers.h)
        for block, affine, ((w1, b1), (w2, b2)) in zip(
            buffers.blocks, self.views.norms, self.views.linears, strict=True
        ):
            torch.baddbmm(b1, self._norm(buffers, affine, block.norm, h), w1, out=block.before)
            activate(block, self.model.activation)
            torch.baddbmm(b2, block.active, w2, out=block.branch)
            h = h.add_(block.branch) if self.model.skip else block.branch
        return self._norm(buffers, self.views.affine("head.norm"), buffers.head, h) if self.model.terminal_norm else h

    def _norm(self, buffers: Buffers, affine: tuple[Tensor, Tensor], norm: Norm, h: Tensor) -> Tensor:
        """Compute the layer norm of h [r, n, d], in memory that the next one takes again."""
        gain, shift = affine
        width = h.shape[-1]
        torch.sum(h, -1, keepdim=True, out=buffers.one)
        torch.sub(h, buffers.one, alpha=1.0 / width, out=norm.normal)
        length = torch.linalg.vector_norm(norm.normal, dim=-1, keepdim=True, out=buffers.one)
        torch.addcmul(self.eps, length, length, value=1.0 / width, out=norm.rstd).rsqrt_()
        return torch.addcmul(shift, norm.normal.mul_(norm.rstd), gain, out=buffers.out)

    def _head(self, buffers: Buffers, seen: Tensor, label: Tensor) -> None:
        """Compute loss, error softmax − onehot [r, c, n] and the head's gradients; label [r, 1, n]."""
        logits, error, few = buffers.logits, buffers.error, buffers.few
        torch.baddbmm(self.views.head_bias, self.views.head_weight, seen.mT, out=logits)
        logits.sub_(torch.amax(logits, 1, keepdim=True, out=few))
        torch.exp(logits, out=error)
        error.div_(torch.sum(error, 1, keepdim=True, out=few))
        self.state.loss_sum.add_((few.log_() - logits.gather(1, label)).sum((1, 2)))
        error.scatter_add_(1, label, buffers.minus)
        if "head.weight" not in self.gradients:
            return
        at_head = torch.mul(error, 1.0 / buffers.size, out=logits)
        self.gradients["head.weight"].copy_(torch.bmm(at_head, seen, out=buffers.on_head).mT)
        torch.sum(at_head, 2, out=self.gradients["head.bias"])
        if self.model.terminal_norm:
            sent = torch.bmm(at_head.mT, self.views.head_weight, out=buffers.below)
            torch.sum(sent, 1, out=self.gradients["head.norm.bias"])
            torch.sum(sent.mul_(buffers.head.normal), 1, out=self.gradients["head.norm.weight"])

    def _local(self, buffers: Buffers, part: Part, feedback: Tensor) -> None:
        """Direct feedback: send â_l/n to each block's branch, â_0/n to the embedding; feedback [r, c, blocks·d]."""
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
        """Backpropagation: send the error down to the embedding."""
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
        """Go from the gradient at a branch's output to the one before its activation, and find those of its weights.

        That of W1 is left to ``NormGradients``, as are those of the norm.
        """
        if self.state.penalty is not None:
            sent = torch.addcmul(sent, back.block.branch, part.slope, out=part.below)
        if back.trained:
            torch.bmm(back.active, sent, out=back.on_w2)
            torch.sum(sent, 1, out=back.on_b2)
        inner = torch.bmm(sent, back.w2, out=part.inner)
        activate_back(back.block, inner, self.model.activation)
        if back.trained:
            torch.bmm(back.normal, inner, out=back.on_w1)
            torch.sum(inner, 1, out=back.on_b1)
        return inner

    def _norm_back(self, part: Part, normal: Tensor, gain: Tensor, sent: Tensor) -> Tensor:
        """Go from the gradient at a norm's output to that at its input but for a factor rstd; overwrites ``sent``."""
        found: Tensor = operations.native_layer_norm_backward(
            sent.mul_(gain), normal, sent.shape[-1:], part.no_mean, part.no_rstd, None, None, [True, False, False]
        )[0]
        return found


def activate(block: Block, kind: str) -> None:
    """Compute a block's activation from ``before``."""
    if kind == "gelu":
        operations.gelu.out(block.before, out=block.active)
    elif kind == "relu":
        torch.clamp_min(block.before, 0.0, out=block.active)
    else:
        torch.tanh(block.before, out=block.active)


def activate_back(block: Block, sent: Tensor, kind: str) -> None:
    """Turn the gradient at a block's activation into the one before it, in place."""
    if kind == "gelu":
        operations.gelu_backward.grad_input(sent, block.before, grad_input=sent)
    elif kind == "relu":
        operations.threshold_backward.grad_input(sent, block.active, 0, grad_input=sent)
    else:
        operations.tanh_backward.grad_input(sent, block.active, grad_input=sent)
