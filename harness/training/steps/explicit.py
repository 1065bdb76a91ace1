"""A step of residual MLPs under BP and DFA with explicit gradients, for processors.

On a processor, small networks spend most of a step on autograd's bookkeeping, on starting aten and on cache
misses. This step consists of the products, few elementwise aten between them, nearly all of which write to
memory that the previous step used, and one call for the update. Tests compare it with the autograd step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.batched.layers import LAYER_NORM_EPS
from harness.rules import CREDIT_EPS
from harness.training.batches import fetch, look_up_labels, normalise
from harness.training.steps.credit import project_sites, read_credit
from harness.training.steps.explicit_buffers import BlockActivations, BlockViews, Buffers, GroupViews, Norm, Views
from harness.training.steps.explicit_storage import Clip, NormGradients, StackedStorage
from harness.training.steps.explicit_update import FusedAdamW
from harness.training.steps.interface import TrainingStep
from harness.training.steps.state import RuleGroup, TrainingState
from harness.training.steps.supports import as_residual_mlp, find_block_clip

MAX_NORMALISED = 2**22  # largest split, in numbers, that is normalised once instead of in every step: 16 MB
aten = torch.ops.aten


class ExplicitStep(TrainingStep):
    """The operations of a step's forward and backward pass, and the buffers between them."""

    can_stop_mid_epoch = True

    def __init__(self, state: TrainingState[StackedStorage]) -> None:
        model = as_residual_mlp(state.model)
        assert model is not None
        self.state, self.model = state, model
        storage = state.storage
        self.views = views = Views(storage, model)
        self.weights, self.gradients = views.weights, views.gradients
        self.norm_gradients = NormGradients(storage) if storage.kinds else None
        self.clips = [
            Clip([storage.stack(storage.gradients, kind)[:, group.replicas] for kind in storage.kinds], max_norm)
            for group in state.rule_groups
            if storage.kinds and (max_norm := find_block_clip(group.rule, state.model)) is not None
        ]
        self.update = FusedAdamW(state)
        self.buffers: dict[int, Buffers] = {}
        self.eps = torch.full_like(state.lr[:1], LAYER_NORM_EPS)
        self.rows_by_replica = state.rows_by_replica
        self.images = None
        if not state.dataset.augment and state.train.images.numel() <= MAX_NORMALISED:
            self.images = normalise(state.train, state.train.images).flatten(1)
        self.feedback: list[Tensor | None] = []

    def begin_epoch(self, epoch: int) -> None:
        """Read the epoch's learning rates, number of previous steps, schedules, labels and feedback."""
        state = self.state
        self.update.lr = state.lr.tolist()
        self.update.step.fill_(state.steps.item())
        self.schedule, self.labels = state.schedule, state.labels
        if self.rows_by_replica is not None:
            self.schedule = state.schedule.index_select(0, self.rows_by_replica)
            if state.labels.dim() > 1:
                self.labels = state.labels.index_select(0, self.rows_by_replica)
        self.index = self.schedule[..., 0].long()
        self.feedback = [self._join_feedback(group) for group in state.rule_groups]

    def _join_feedback(self, group: RuleGroup) -> Tensor | None:
        """Return the matrices of a rule group's sites side by side, [r, c, sites·d]; None if it has none."""
        credit = read_credit(group)
        if credit is None:
            return None
        if credit.per_block:
            return torch.cat(list(group.feedback.values()), -1)
        return torch.cat(list(project_sites(group, self.state.model, self.state.classes)), -1)

    def end_epoch(self) -> None:
        """Write the number of steps to the state."""
        self.state.steps.fill_(self.update.step.item())

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.state.cursor.add_(size * steps)

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that begin ``ahead`` batches past the cursor."""
        start = int(self.state.cursor) + ahead * size
        if size not in self.buffers:
            self.buffers[size] = Buffers(self.state, self.model, self.views, size)
        buffers = self.buffers[size]
        with torch.inference_mode():  # starts operations a little faster than no_grad
            x, y = self._batch(start, size)
            head_input = self._forward(buffers, x)
            self._head(buffers, head_input, y.unsqueeze(1))
            for group, feedback in zip(buffers.groups, self.feedback, strict=True):
                if feedback is not None:
                    self._local(buffers, group, feedback, y)
                else:
                    self._backward(group)
            if "embedding.weight" in self.gradients:
                torch.bmm(x.mT, buffers.dh, out=self.gradients["embedding.weight"])
                torch.sum(buffers.dh, 1, out=self.gradients["embedding.bias"])
            if self.norm_gradients is not None:
                self.norm_gradients()
            for clip in self.clips:
                clip()
            self.update()

    def _batch(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """Look up x [r, n, i] and labels [r, n] of ``size`` schedule rows."""
        train, rows = self.state.train, slice(start, start + size)
        if self.images is None:
            return fetch(train, self.labels, self.state.dataset, self.schedule[:, rows])
        index = self.index[:, rows]
        x = self.images.index_select(0, index.flatten())
        return x.view(-1, size, x.shape[-1]), look_up_labels(self.labels, index)

    def _forward(self, buffers: Buffers, x: Tensor) -> Tensor:
        """Compute the input of the head [r, n, d] from a batch x [r, n, i]."""
        h = torch.baddbmm(self.views.rows["embedding.bias"], x, self.weights["embedding.weight"], out=buffers.h)
        for block, affine, ((w1, b1), (w2, b2)) in zip(
            buffers.blocks, self.views.norms, self.views.linears, strict=True
        ):
            torch.baddbmm(b1, self._norm(buffers, affine, block.norm, h), w1, out=block.preactivation)
            activate(block, self.model.activation)
            torch.baddbmm(b2, block.activated, w2, out=block.branch)
            h = h.add_(block.branch) if self.model.skip else block.branch
        return self._norm(buffers, self.views.affine("head.norm"), buffers.head, h) if self.model.terminal_norm else h

    def _norm(self, buffers: Buffers, affine: tuple[Tensor, Tensor], norm: Norm, h: Tensor) -> Tensor:
        """Compute the layer norm of h [r, n, d] into a buffer that the next layer norm overwrites."""
        gain, shift = affine
        width = h.shape[-1]
        torch.sum(h, -1, keepdim=True, out=buffers.per_row)
        torch.sub(h, buffers.per_row, alpha=1.0 / width, out=norm.normalised)
        length = torch.linalg.vector_norm(norm.normalised, dim=-1, keepdim=True, out=buffers.per_row)
        torch.addcmul(self.eps, length, length, value=1.0 / width, out=norm.rstd).rsqrt_()
        return torch.addcmul(shift, norm.normalised.mul_(norm.rstd), gain, out=buffers.norm_output)

    def _head(self, buffers: Buffers, head_input: Tensor, label: Tensor) -> None:
        """Compute the loss, the error softmax − onehot [r, c, n] and the head's gradients; label [r, 1, n]."""
        logits, error, per_sample = buffers.logits, buffers.error, buffers.per_sample
        torch.baddbmm(self.views.head_bias, self.views.head_weight, head_input.mT, out=logits)
        logits.sub_(torch.amax(logits, 1, keepdim=True, out=per_sample))
        torch.exp(logits, out=error)
        error.div_(torch.sum(error, 1, keepdim=True, out=per_sample))
        self.state.loss_sum.add_((per_sample.log_() - logits.gather(1, label)).sum((1, 2)))
        error.scatter_add_(1, label, buffers.minus_one)
        if "head.weight" not in self.gradients:
            return
        dlogits = torch.mul(error, 1.0 / buffers.size, out=logits)
        self.gradients["head.weight"].copy_(torch.bmm(dlogits, head_input, out=buffers.head_grad).mT)
        torch.sum(dlogits, 2, out=self.gradients["head.bias"])
        if self.model.terminal_norm:
            dhn = torch.bmm(dlogits.mT, self.views.head_weight, out=buffers.scratch)
            torch.sum(dhn, 1, out=self.gradients["head.norm.bias"])
            torch.sum(dhn.mul_(buffers.head.normalised), 1, out=self.gradients["head.norm.weight"])

    def _local(self, buffers: Buffers, group: GroupViews, feedback: Tensor, y: Tensor) -> None:
        """Send ĉ_{l+1}/n directly to each block's branch and ĉ_0/n to the embedding; feedback [r, c, sites·d]."""
        credit, rms, size = group.credit, group.rms, buffers.size
        assert group.form is not None
        torch.bmm(group.feed(y), feedback[..., : credit.shape[-1]], out=credit)
        if group.form.normalize == "none":
            group.by_layer.div_(size)
        else:
            over, count = (-1, 1) if group.form.normalize == "sample" else ((1, 3), size)
            torch.linalg.vector_norm(group.by_layer, dim=over, keepdim=True, out=rms)
            rms.mul_(size / math.sqrt(count * self.model.width)).add_(CREDIT_EPS * size)
            group.by_layer.div_(rms)
        for block, df in zip(group.blocks, group.block_credits, strict=False):
            if block.trained:
                self._block_back(group, block, df)
        group.dh.copy_(group.credits[0])

    def _backward(self, group: GroupViews) -> None:
        """Backpropagate the error from the head to the embedding."""
        dh = torch.bmm(group.error, group.head_weight, out=group.dh)
        dh.mul_(1.0 / dh.shape[1])
        if self.model.terminal_norm:
            torch.mul(self._norm_back(group, group.head, group.head_gain, dh), group.head_rstd, out=dh)
        for block in reversed(group.blocks):
            du = torch.bmm(self._block_back(group, block, dh), block.w1, out=group.scratch)
            du = self._norm_back(group, block.activations.norm.normalised, block.gain, du)
            if self.model.skip:
                dh.addcmul_(du, block.activations.norm.rstd)
            else:
                torch.mul(du, block.activations.norm.rstd, out=dh)

    def _block_back(self, group: GroupViews, block: BlockViews, df: Tensor) -> Tensor:
        """Compute the gradient at a block's pre-activation from the one at its branch, and those of its weights.

        The gradients of W1 and of the layer norm are completed by ``NormGradients``.
        """
        if self.state.penalty is not None:
            df = torch.addcmul(df, block.activations.branch, group.penalty_slope, out=group.scratch)
        if block.trained:
            torch.bmm(block.activated, df, out=block.w2_grad)
            torch.sum(df, 1, out=block.b2_grad)
        dz = torch.bmm(df, block.w2, out=group.dz)
        activate_back(block.activations, dz, self.model.activation)
        if block.trained:
            torch.bmm(block.normalised, dz, out=block.w1_grad)
            torch.sum(dz, 1, out=block.b1_grad)
        return dz

    def _norm_back(self, group: GroupViews, normalised: Tensor, gain: Tensor, dout: Tensor) -> Tensor:
        """Turn the gradient at a norm's output into that at its input, up to the factor rstd; overwrite ``dout``."""
        found: Tensor = aten.native_layer_norm_backward(
            dout.mul_(gain),
            normalised,
            dout.shape[-1:],
            group.zero_mean,
            group.unit_rstd,
            None,
            None,
            [True, False, False],
        )[0]
        return found


def activate(block: BlockActivations, kind: str) -> None:
    """Compute a block's activation from its pre-activation."""
    if kind == "gelu":
        aten.gelu.out(block.preactivation, out=block.activated)
    elif kind == "relu":
        torch.clamp_min(block.preactivation, 0.0, out=block.activated)
    else:
        torch.tanh(block.preactivation, out=block.activated)


def activate_back(block: BlockActivations, grad: Tensor, kind: str) -> None:
    """Turn the gradient at a block's activation into the one at its pre-activation, in place."""
    if kind == "gelu":
        aten.gelu_backward.grad_input(grad, block.preactivation, grad_input=grad)
    elif kind == "relu":
        aten.threshold_backward.grad_input(grad, block.activated, 0, grad_input=grad)
    else:
        aten.tanh_backward.grad_input(grad, block.activated, grad_input=grad)
