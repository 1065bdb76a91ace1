"""AdamW and clipping per replica against PyTorch's own, one replica at a time; the fused form against the plain one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from harness.batched import adamw

LR, DECAY = [0.1, 0.003, 0.02], [0.0, 0.3, 0.01]


def stacked_steps(update: Callable[..., None], device: str, dtype: torch.dtype, clip: float | None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(3, 5, 7, generator=generator, dtype=dtype).to(device)
    m, v = torch.zeros_like(p), torch.zeros_like(p)
    for step in range(1, 6):
        g = torch.randn(3, 5, 7, generator=generator, dtype=dtype).to(device)
        scale = None if clip is None else adamw.clip_scales([g], clip)
        rates = adamw.Rates(
            *(torch.tensor(x, dtype=dtype, device=device) for x in (LR, DECAY, 1 - 0.9**step, (1 - 0.99**step) ** 0.5)),
            adamw.constants(0.9, 0.99, 1e-8, p),
        )
        update(p, g, m, v, rates, scale)
    return p.cpu()


def torch_steps(dtype: torch.dtype, clip: float | None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 5, 7, generator=generator, dtype=dtype)
    gradients = [torch.randn(3, 5, 7, generator=generator, dtype=dtype) for _ in range(5)]
    out = []
    for r in range(3):
        p = torch.nn.Parameter(start[r].clone())
        optimizer = torch.optim.AdamW([p], lr=LR[r], weight_decay=DECAY[r], betas=(0.9, 0.99))
        for g in gradients:
            p.grad = g[r].clone()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_([p], clip)
            optimizer.step()
        out.append(p.detach())
    return torch.stack(out)


@pytest.mark.parametrize("clip", [None, 1.0, 1e6])
def test_plain_update_is_torchs_adamw_with_a_rate_per_replica(clip: float | None) -> None:
    ours = stacked_steps(adamw.update, "cpu", torch.float64, clip)
    torch.testing.assert_close(ours, torch_steps(torch.float64, clip), rtol=1e-12, atol=1e-14)


@pytest.mark.gpu
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_fused_update_is_the_plain_one(clip: float | None, dtype: torch.dtype, tolerance: float) -> None:
    fused = stacked_steps(adamw.fused_update, "cuda", dtype, clip)
    plain = stacked_steps(adamw.update, "cuda", dtype, clip)
    torch.testing.assert_close(fused, plain, rtol=tolerance, atol=tolerance)


def test_clipping_is_per_replica() -> None:
    quiet, loud = torch.full((1, 4), 0.1), torch.full((1, 4), 100.0)
    scales = adamw.clip_scales([torch.cat([quiet, loud])], 1.0)
    assert scales[0] == 1.0
    assert float(scales[1]) == pytest.approx(1 / 200, rel=1e-5)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.9), (0.5, 0.3), (0.9, 0.99)])
def test_no_gradients_move_a_weight_farther_than_max_update(betas: tuple[float, float]) -> None:
    """Gradients that grow as a/b do, from the inequality's proof, come that far in the end; drawn ones stay below."""
    steps = 10_000
    limit = adamw.max_update(*betas)
    stream = np.random.default_rng(3)
    logarithm = np.log(max(betas[0] / betas[1], 1e-3)) * np.arange(steps)[::-1]
    for gradients, reached in ((np.exp(logarithm.clip(-200, 200)), True), (stream.standard_normal(steps) ** 3, False)):
        m = v = 0.0
        for t, g in enumerate(gradients.tolist(), start=1):
            m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
            moved = abs(m) / (1 - betas[0] ** t) / math.sqrt(v / (1 - betas[1] ** t))
            assert moved <= limit * (1 + 1e-9)
        if reached:
            assert moved == pytest.approx(limit, rel=1e-4)


def test_nothing_limits_a_step_where_v_forgets_sooner_than_m() -> None:
    assert adamw.max_update(0.9, 0.8) == adamw.max_update(0.9, 0.0) == math.inf
    assert adamw.max_update(0.0, 0.0) == 1.0
