"""The benchmark of all rules, run small: what it writes as it goes, and what it counts."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
SIZES = {"replicas": 2, "width": 16, "blocks": 2, "batch": 32, "images": 96, "loop-steps": 1, "loader-batches": 0}
SMALL = ["--device=cpu", "--engine=0", *(f"--{name}={size}" for name, size in SIZES.items())]


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("rules")


def test_the_table_of_rules_is_written_as_it_goes_and_completed_later(
    rules: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rules.jsonl"
    rules.main([*SMALL, f"--out={out}", "--rules", "bp"])
    first = out.read_text()
    rules.main([*SMALL, f"--out={out}", "--rules", "bp", "sign_symmetric:variant=brsf"])
    assert out.read_text().startswith(first), "what is there is not measured again"
    about, *found = map(json.loads, out.read_text().splitlines())
    assert [row["rule"] for row in found] == ["bp"] * 2 + ["sign_symmetric:variant=brsf"] * 2
    rows: dict[str, Any] = {}
    for row in found:
        rows.setdefault(row["rule"], {}).update(row)
    bp, other = rows.values()
    assert (bp["step"], bp["loop"]) == ("explicit", "by hand")
    assert (other["step"], other["loop"]) == ("autograd", "the definition")
    capsys.readouterr()
    rules.main(["--read", str(out)])
    lines = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in capsys.readouterr().out.splitlines()}
    for name, row in rows.items():
        assert lines[name][8] == f"{about['replicas'] * row['loop_step_seconds'] / row['step_seconds']:.3g}"
    # Per replica: M drawn anew for every weight but the first, written and read. Its way back costs no more than BP's.
    drawn = 2 * (16 * 16 * 4 + 16 * 10)
    assert other["moved_bytes"] - bp["moved_bytes"] == 4 * 2 * drawn
    assert other["operations"] == bp["operations"]


def test_a_misspelt_rule_fails_before_anything_is_measured(rules: Any, tmp_path: Path) -> None:
    out = tmp_path / "rules.jsonl"
    with pytest.raises(ValueError, match="nosuch"):
        rules.main([*SMALL, f"--out={out}", "--rules", "bp", "nosuch"])
    assert len(out.read_text().splitlines()) == 1
    with pytest.raises(SystemExit, match="another machine or setting"):
        rules.main([*SMALL, f"--out={out}", "--rules", "bp", "--replicas=3"])


def test_floors_are_counted_as_beside_the_loop(rules: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same counting for all rules, held against that of ``compare.py`` where both know the rule."""
    compare, eager = importlib.import_module("compare"), importlib.import_module("eager")
    options = rules.parse(SMALL)
    arm = rules.make_arm("bp", options)
    replicas = tuple(rules.Replica(arm="a", seed_index=i, seed=i) for i in range(options.replicas))
    cohort = rules.Cohort(arms={"a": arm}, replicas=replicas, memory_bytes=0)
    options.bandwidth = None
    counted = eager.count_floors(arm, options, 0)
    said = f"moves {counted['moved_bytes'] / 1e6:.3g} MB and does {counted['operations'] / 1e9:.3g} Gop"
    assert said in compare.roofline(cohort, 1.0, options)
