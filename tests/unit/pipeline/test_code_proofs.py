"""What earlier runs show of code that differs, over events as a ledger holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import ledger, spec, verdict
from harness.ledger import Environment, Ledger
from harness.pipeline.code_proofs import add_proofs, add_proofs_since_first, describe_trials

ROOT = Path(__file__).parents[3]
DIGEST = "d" * 64
LINE = "the code that trains and measures differs from that of attempt x: the numbers could differ"


class Trail:
    """A hypothesis with one run by other code, which was trained again by today's."""

    def __init__(self, root: Path, agreement: str = "bits", again: dict[str, str] | None = None) -> None:
        loaded = spec.load(ROOT / "hypotheses/quickstart_digits.yaml")
        self.ledger = Ledger(root)
        self.now = ledger.describe_environment(root)
        self.pins = ledger.pin_code(loaded.hypothesis, verdict.default_templates())
        old = {"code": "0" * 64, "code_kinds": {**self.now.code_kinds, "numbers": "1" * 64}}
        self.before = self.pins.model_copy(update=old)
        ledger.register(self.ledger, loaded.raw, loaded.claims_raw, loaded.hypothesis, self.before)
        self.registration = ledger.find_in_force(self.ledger, loaded.hypothesis.id)
        assert self.registration is not None
        self.run = self.ledger.append("run_started", self.started(loaded, old))
        kinds = {**self.now.code_kinds, **(again or {})}
        self.ledger.append("replicated", {
            "run": self.run.digest, "expected": "statistics", "agreement": agreement, "outcome": "inconclusive",
            "results": DIGEST, "plan": DIGEST, "device": "a card", "environment": self.environment(code_kinds=kinds),
        })  # fmt: skip

    def environment(self, **changes: Any) -> dict[str, Any]:
        return Environment.model_validate(self.now.model_dump() | changes).model_dump(mode="json")

    def started(self, loaded: spec.Loaded, old: dict[str, Any]) -> dict[str, Any]:
        registration = self.registration
        return {
            "hypothesis": loaded.hypothesis.id, "registration": registration.digest, "raw": registration.raw,
            "canonical": registration.canonical, "pins": self.before.model_dump(mode="json"), "plan": DIGEST,
            "seeds": list(registration.seeds), "environment": self.environment(**old), "device": "a card",
            "command": "harness run", "arithmetic": {},
        }  # fmt: skip

    def numbers(self) -> str:
        differing = ledger.compare_code(self.registration.pins, self.pins)
        found = add_proofs(differing, self.registration, "quickstart-digits", self.ledger, self.now)
        assert found.numbers is not None and found.judgement is None
        return found.numbers


def test_the_same_bits_are_told_with_the_run_and_the_device(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    shown = f"run {trail.run.digest[:12]}, trained again with this code on a card, came to the same bits"
    assert trail.numbers().endswith(f": the numbers could differ; {shown}")
    told = add_proofs_since_first((LINE,), "quickstart-digits", trail.ledger, trail.now)
    assert told == (f"{LINE}; {shown}",)


def test_neither_other_bits_nor_a_replication_by_other_code_shows_anything(tmp_path: Path) -> None:
    for number, more in enumerate(
        ({"agreement": "statistics"}, {"again": {"numbers": "2" * 64}}, {"again": {"plugins": "2" * 64}})
    ):
        trail = Trail(tmp_path / str(number), **more)  # type: ignore[arg-type]
        assert trail.numbers().endswith(": the numbers could differ")
        assert add_proofs_since_first((LINE,), "quickstart-digits", trail.ledger, trail.now) == (LINE,)


@pytest.mark.parametrize(
    ("results", "changes", "told"),
    [
        (
            DIGEST,
            {"device": "another card", "plan": "e" * 64},
            "the same numbers: results.json is, to the byte, that of run",
        ),
        ("e" * 64, {}, "other numbers: results.json is not that of run"),
        (
            "e" * 64,
            {"device": "another card"},
            "not known yet whether the numbers differ; it would show: harness replicate",
        ),
        ("e" * 64, {"plan": "e" * 64}, "not known yet whether the numbers differ; it would show: harness replicate"),
        ("e" * 64, {"arithmetic": {"MKL_CBWR": "AVX"}}, "not known yet whether"),
    ],
)
def test_what_a_finished_run_shows_by_its_results(
    tmp_path: Path, results: str, changes: dict[str, Any], told: str
) -> None:
    trail = Trail(tmp_path, agreement="none")
    trail.ledger.append("run_finished", {"run": trail.run.digest, "results": DIGEST})
    lines = ["the code that trains and measures differs from the registered one (x): the numbers could differ"]
    now = {"environment": trail.now.model_dump(mode="json"), "pins": trail.pins.model_dump(mode="json")}
    started = trail.ledger.append("run_started", trail.run.body | now | {"deviations": lines} | changes)
    (line,) = describe_trials(trail.registration.pins, ledger.read_start(started), trail.ledger, results)
    assert line.startswith(told)
    assert (trail.run.digest[:12] in line) == ("replicate" not in line and "yet" not in line)
