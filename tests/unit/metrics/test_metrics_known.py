"""What diagnostics compute, where the answer is known, and that a diverged replica leaves the others alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from harness.batched.calibration import brier_score, calibration_error, class_accuracies, worst_class
from harness.batched.curvature import top_eigenvalue
from harness.batched.geometry import (
    correlate_changes,
    cosine,
    effective_rank,
    linear_cka,
    mean_pairwise_cosine,
    participation_ratio,
    singular_values,
    step_along,
)

NAN = float("nan")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_unrelated_vectors_are_at_right_angles() -> None:
    found = cosine(normal(1, 4000, 256), normal(1, 4000, 256, seed=1))
    assert found.std().item() == pytest.approx(256**-0.5, rel=0.05)
    assert abs(found.mean().item()) < 4 * 0.0625 / 4000**0.5
    a = normal(1, 5, 7)
    torch.testing.assert_close(cosine(a, -3e200 * a), -torch.ones(1, 5, dtype=torch.float64))


def test_ranks_of_known_spectra() -> None:
    assert effective_rank(torch.tensor([[2.0, 1.0]])).item() == pytest.approx(1.8899, abs=5e-5)
    assert effective_rank(torch.tensor([[4.0, 1.0]])).item() == pytest.approx(1.6494, abs=5e-5)
    assert effective_rank(torch.tensor([[3.0, 3.0, 3.0, 0.0]])).item() == pytest.approx(3.0, rel=1e-6)
    assert participation_ratio(torch.tensor([[4.0, 1.0]])).item() == pytest.approx(25 / 17, rel=1e-6)
    white = participation_ratio(singular_values(normal(1, 1024, 256)).square())
    assert white.item() == pytest.approx(204.8, rel=0.005)


def test_a_spectrum_is_of_centred_states_and_keeps_replicas_apart() -> None:
    states = normal(3, 20, 6)
    moved = states + 1e3
    torch.testing.assert_close(singular_values(moved), singular_values(states), rtol=1e-9, atol=1e-9)
    broken = states.clone()
    broken[1, 3, 2] = math.inf
    found = singular_values(broken)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], singular_values(states)[[0, 2]])
    assert effective_rank(found).isnan().tolist() == [False, True, False]
    assert effective_rank(singular_values(torch.ones(1, 5, 3, dtype=torch.float64))).isnan().all()


def test_similarity_is_one_under_rotation_and_none_of_the_unrelated() -> None:
    x, y = normal(1, 1024, 256), normal(1, 1024, 256, seed=1)
    rotation = torch.linalg.qr(normal(256, 256, seed=2)).Q
    assert linear_cka(x, 1e180 * (x @ rotation) + 7e180).item() == pytest.approx(1.0, abs=1e-9)
    assert abs(linear_cka(x, y).item()) < 0.005, "the plain form gives .20"
    centred, other = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    plain = (centred.mT @ other).norm() ** 2 / ((centred.mT @ centred).norm() * (other.mT @ other).norm())
    assert plain.item() == pytest.approx(256 / (1024 + 256), abs=0.01)


def test_similarity_is_that_of_the_published_estimator() -> None:
    """Song et al. 2012, eq. 5, written out; and it is not a number where there is nothing to estimate."""
    x, y = normal(1, 9, 3), normal(1, 9, 4, seed=1)

    def hsic(a: Tensor, b: Tensor) -> float:
        n, one = 9, torch.ones(9, dtype=torch.float64)
        k, m = (a[0] @ a[0].T).fill_diagonal_(0), (b[0] @ b[0].T).fill_diagonal_(0)
        both = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return float(((k @ m).trace() + both - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3)))

    expected = hsic(x, y) / math.sqrt(hsic(x, x) * hsic(y, y))
    assert linear_cka(x, y).item() == pytest.approx(expected, abs=1e-12)
    assert linear_cka(x[:, :3], y[:, :3]).isnan().all()
    assert linear_cka(torch.ones_like(x), y).isnan().all()
    pair = torch.cat([x, torch.full_like(x, NAN)])
    assert linear_cka(pair, y.expand(2, -1, -1)).isnan().tolist() == [False, True]


def test_calibration_of_known_probabilities() -> None:
    p = torch.zeros(1, 20, 2, dtype=torch.float64)
    p[0, :10, 0], p[0, 10:, 0] = 0.9, 0.6
    p[0, :, 1] = 1 - p[0, :, 0]
    labels = torch.tensor([0] * 8 + [1] * 2 + [0] * 6 + [1] * 4)
    assert calibration_error(p, labels).item() == pytest.approx(0.05, abs=1e-12)
    expected = (8 * 0.1**2 + 2 * 0.9**2 + 6 * 0.4**2 + 4 * 0.6**2) * 2 / 20
    assert brier_score(p, labels).item() == pytest.approx(expected, rel=1e-12)
    assert calibration_error(torch.cat([p, p * NAN]), labels).isnan().tolist() == [False, True]
    edge = torch.tensor([[[1.0, 0.0], [0.6, 0.4]]], dtype=torch.float64)  # 0.6 = 9/15 closes its bin
    assert calibration_error(edge, torch.tensor([0, 0])).item() == pytest.approx(0.2, abs=1e-12)


def test_accuracies_of_classes() -> None:
    logits = torch.eye(4)[[0, 0, 1, 0, 2]].unsqueeze(0)
    labels = torch.tensor([0, 0, 1, 1, 2])
    found = class_accuracies(torch.cat([logits, logits * NAN]), labels)
    assert found[0, :3].tolist() == [1.0, 0.5, 1.0] and found[0, 3].isnan() and found[1].isnan().all()
    assert worst_class(found)[0] == 0.5 and worst_class(found)[1].isnan()
    balanced = torch.arange(40) % 4
    guesses = normal(1, 40, 4)
    assert class_accuracies(guesses, balanced).mean().item() == pytest.approx(
        (guesses.argmax(-1) == balanced).double().mean().item()
    )


def test_curvature_of_a_linear_softmax_and_of_quadratics() -> None:
    x, y = normal(2, 50, 6), torch.arange(50).expand(2, -1) % 10

    def loss(p: dict[str, Tensor]) -> Tensor:
        z = (x @ p["w"]).flatten(0, 1)
        return torch.nn.functional.cross_entropy(z, y.flatten(), reduction="none").view(2, -1).mean(1)

    zeros = {"w": torch.zeros(2, 6, 10, dtype=torch.float64)}
    expected = torch.linalg.eigvalsh(x.mT @ x / 50)[:, -1] / 10
    torch.testing.assert_close(top_eigenvalue(loss, zeros, 1e-14, 5000), expected, rtol=1e-9, atol=0)  # type: ignore[arg-type]
    torch.testing.assert_close(top_eigenvalue(loss, zeros), expected, rtol=0.02, atol=0)  # type: ignore[arg-type]
    scales = torch.tensor([[1.0, -5.0, 2.0], [3.0, 1.0, 0.0], [NAN, 1.0, 1.0]], dtype=torch.float64)
    at = {"a": torch.ones(3, 3, dtype=torch.float64), "unused": torch.ones(3, 2, dtype=torch.float64)}
    found = top_eigenvalue(lambda p: (scales * p["a"].square()).sum(1) / 2, at, 1e-12)
    torch.testing.assert_close(found[:2], torch.tensor([-5.0, 3.0], dtype=torch.float64), rtol=1e-6, atol=0)
    assert found[2].isnan()


def head_loss(h: Tensor, w: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy((h @ w).flatten(0, 1), y.flatten(), reduction="none").view(y.shape)


def test_perturbations_find_the_stacked_cosine_and_its_controls() -> None:
    h, w, y = normal(1, 256, 64), normal(1, 64, 10, seed=1) / 8, (torch.arange(256) % 10).unsqueeze(0)
    h = h / h.norm(dim=-1, keepdim=True)
    leaf = h.clone().requires_grad_()
    (g,) = torch.autograd.grad(head_loss(leaf, w, y).sum(), leaf)

    def rho(credit: Tensor, share: float = 1e-4) -> float:
        return correlate_changes(lambda _, change: head_loss(h + change, w, y), 0, credit, h, 32, share).item()

    noise = normal(1, 256, 64, seed=2) * g.norm() / (256 * 64) ** 0.5
    mixed = g + 3 * noise
    stacked = cosine(mixed.flatten(1).unsqueeze(1), g.flatten(1).unsqueeze(1)).item()
    sd = (1 / (256 * 32) + 1 / (256 * 64)) ** 0.5
    assert rho(g) > 0.99 and rho(-g) < -0.99
    assert abs(rho(noise)) < 3 * sd
    assert rho(mixed) == pytest.approx(stacked, abs=3 * sd)
    assert rho(mixed, 0.5e-4) == pytest.approx(rho(mixed), abs=1e-4)


def test_a_short_step_gains_the_cosine_of_the_gradients_gain() -> None:
    h, w, y = 1e8 * normal(1, 40, 16), 1e-8 * normal(1, 16, 10, seed=1), (torch.arange(40) % 10).unsqueeze(0)
    leaf = h.clone().requires_grad_()
    (g,) = torch.autograd.grad(head_loss(leaf, w, y).sum(), leaf)
    c = g + normal(1, 40, 16, seed=2) * g.norm(dim=-1, keepdim=True) / 4
    plain = head_loss(h, w, y)
    for share, within in ((1e-2, 0.05), (1e-5, 1e-4)):
        along, best = (head_loss(h + step_along(v, h, -share), w, y) - plain for v in (c, g))
        assert (best < 0).all()
        torch.testing.assert_close(along / best, cosine(c, g), rtol=0, atol=within)


def test_stability_of_drift_and_noise() -> None:
    """‖μ‖²/(‖μ‖² + σ²d/n): .4274 for the drift here."""
    d, n, batches = 64, 16, 400
    drift = torch.zeros(d, dtype=torch.float64)
    drift[0] = (0.4274 / (1 - 0.4274) * d / n) ** 0.5
    noise = normal(1, n * batches + 5, d)
    assert mean_pairwise_cosine(noise + drift, batches).item() == pytest.approx(0.4274, abs=0.02)
    assert abs(mean_pairwise_cosine(noise, batches).item()) < 0.005
    assert mean_pairwise_cosine(1e-200 * drift.expand(1, 20, d), 4).item() == pytest.approx(1.0, abs=1e-12)
    assert mean_pairwise_cosine(noise[:, :3], 4).isnan().all()
