"""Sentences of a comparison of two verdicts."""

from __future__ import annotations

from harness.api.comparisons import ComparisonView
from harness.pipeline.compare import ClaimPull, Comparison, Side


def test_claims_that_two_outcomes_move_in_opposite_directions_are_told() -> None:
    sides = [Side(name, name, "better", "better", 3, ()) for name in ("one", "two")]
    pulls = (ClaimPull("depth-helps", "supports", "walks back"), ClaimPull("width-helps", "walks back", "supports"))
    seen = ComparisonView(Comparison(*sides, False, (), (), (), pulls))
    assert seen.claims == [
        "depth-helps: the first supports it, the second walks it back",
        "width-helps: the first walks it back, the second supports it",
    ]
    assert "the second walks it back" in seen._repr_html_()
