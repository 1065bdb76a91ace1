"""Neural collapse of a simplex, which is complete, and of states that are far from one."""

from __future__ import annotations

import pytest
import torch

from harness.batched.collapse import ClassMeans

C, LABELS = 10, torch.arange(60) % 10
SIMPLEX = torch.eye(C, dtype=torch.float64) - 1 / C


def test_a_simplex_is_collapsed() -> None:
    states = (3 * SIMPLEX[LABELS] + 5).unsqueeze(0)
    means = ClassMeans(states, LABELS)
    for found in (means.within(), means.norms(), means.angles()):
        assert found.item() == pytest.approx(0, abs=1e-12)
    assert means.disagreement(states).item() == 0
    assert means.disagreement(states.roll(1, dims=-1)).item() == 1
    unit = means.centred[0] / means.centred[0].norm(dim=-1, keepdim=True)
    assert (unit @ unit.T)[0, 1].item() == pytest.approx(-1 / 9)


def test_variability_within_classes_counts_in_the_means_directions_alone() -> None:
    """±a along every axis: Σ_W = a²I, Σ_B has the eigenvalue 1/C nine times."""
    labels = torch.arange(C).repeat_interleave(2 * C)
    noise = torch.cat([torch.eye(C), -torch.eye(C)]).double().repeat(C, 1) * 0.3
    states = torch.cat([SIMPLEX[labels] + noise, 100 * noise], dim=1).unsqueeze(0)
    found = ClassMeans(states[..., :C], labels).within().item()
    assert found == pytest.approx((0.3**2 / C) * (C - 1) * C / C, rel=1e-9)
    beside = torch.cat([SIMPLEX[labels], noise], dim=1).unsqueeze(0)
    assert ClassMeans(beside, labels).within().item() == pytest.approx(0, abs=1e-12)


def test_what_is_no_number_stays_so() -> None:
    states = SIMPLEX[LABELS].repeat(2, 1, 1)
    states[1, 0, 0] = float("nan")
    means = ClassMeans(states, LABELS)
    for found in (means.within(), means.norms(), means.angles(), means.disagreement(states)):
        assert found.isnan().tolist() == [False, True]
    alone = ClassMeans(states[:1, ::10], LABELS[::10])
    for found in (alone.within(), alone.norms(), alone.angles(), alone.disagreement(states[:1, ::10])):
        assert found.isnan().all()
    some = ClassMeans(states[:1, 2:5], LABELS[2:5])
    assert some.disagreement(states[:1, 2:5]).item() == 0 and some.norms().item() == pytest.approx(0, abs=1e-12)
