"""Logits of whole splits, computed in the precision of training: what the trained networks predict."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from harness.batched.geometry import join_samples
from harness.models import Model
from harness.records.plan import count_chunk_samples
from harness.training.batches import DeviceImages, normalise, unpad
from harness.training.device import use_precision
from harness.training.program import Program


def settle_model(program: Program, params: dict[str, Tensor], dtype: torch.dtype) -> Model:
    """Return a program's model as it is evaluated with these parameters of some of its replicas."""
    model = program.state.model
    if not model.couples_samples:
        return model
    x = program.settling_inputs.to(dtype).expand(len(next(iter(params.values()))), -1, -1)
    with torch.no_grad():
        return model.settle(params, x)


class SplitLogits:
    """Logits of some replicas of a cohort."""

    def __init__(self, program: Program, params: dict[str, Tensor]) -> None:
        """Take the replicas' parameters, in the precision of training."""
        self._program, self._state = program, program.state
        self._params = params

    @cached_property
    def test(self) -> Tensor:
        """Logits [r, N, c] on the test split."""
        return self._of_split(self._program.test)

    @cached_property
    def train(self) -> Tensor:
        """Logits [r, N, c] on the training split."""
        return self._of_split(self._state.train)

    @cached_property
    def validation(self) -> Tensor:
        """Logits [r, N, c] on the validation split."""
        return self._of_split(self._program.get_split("validation"))

    @property
    def finite(self) -> Tensor:
        """True where a replica's logits are finite, bool [r].

        These are the logits on the test split if they were asked for, otherwise those on the probe batch, a part of it.
        """
        if "test" in vars(self):
            logits = self.test
        else:
            logits = self._of_samples(self._program.probe[0][0].to(self._state.dtype))
        return logits.isfinite().flatten(1).all(1)

    def _of_split(self, split: DeviceImages) -> Tensor:
        """Compute logits [r, N, c] of a whole split, chunk by chunk, without the padding for crops."""
        chunks = torch.split(unpad(split), count_chunk_samples(self._state.setup))
        return torch.cat([self._of_samples(normalise(split, pixels).flatten(1)) for pixels in chunks], dim=1)

    def _of_samples(self, x: Tensor) -> Tensor:
        """Compute logits [r, n, c] for samples x [n, i].

        Logits are NaN where the norm of a hidden state is not finite in that precision: layer norm divides by it and
        would turn such a state into zeros, from which the network would go on as if nothing had happened.
        """
        state = self._state
        x = x.expand(len(next(iter(self._params.values()))), -1, -1)
        with torch.no_grad(), use_precision(state.setup.precision, state.device):
            model = self._settled
            h = model.embed(self._params, x)
            norms = [torch.linalg.vector_norm(join_samples(h), dim=-1)]
            for layer in range(model.depth):
                h = model.join(h, model.branch(self._params, layer, h))
                norms.append(torch.linalg.vector_norm(join_samples(h), dim=-1))
            lost = ~torch.stack(norms).isfinite().all(0)
            return model.head(self._params, h).masked_fill(lost.unsqueeze(-1), float("nan"))

    @cached_property
    def _settled(self) -> Model:
        """The model as it is evaluated, in training precision."""
        return settle_model(self._program, self._params, self._state.dtype)
