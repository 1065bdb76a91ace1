"""A researcher who trains hypotheses together, and reads or hides what one run's folder holds of another's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted
from harness.ledger import Ledger
from harness.pipeline.audit import audit_trail
from harness.pipeline.project import Settings
from harness.pipeline.register import close_attempt
from harness.pipeline.session import Reporter
from harness.pipeline.several import run_several
from tests.attacks.corpus import forged_file, without
from tests.attacks.trails import Trail, audited, sorts
from tests.e2e.projects import TINY, make_project
from tests.once import made_once

SMALL = TINY.replace("epochs: 8", "epochs: 4").replace("every_epochs: 2", "every_epochs: 1")
SMALL = SMALL.replace("count: 6", "count: 5").replace("  save: [weights]\n", "")
LATE = {"company-otherwise", "company-unstarted", "page-otherwise"}


def run_both(root: Path, reporter: Reporter | None = None) -> None:
    """Run first and second together, in this process."""
    make_project(root)
    (root / "hypotheses" / "tiny.yaml").unlink()
    for name in ("first", "second"):
        (root / "hypotheses" / f"{name}.yaml").write_text(SMALL.replace("id: tiny", f"id: {name}"))
    settings = Settings(device="cpu", together=True)
    ended = list(run_several([root / "hypotheses"], settings, reporter or Reporter()))
    assert len(ended) == 2 and all(one.report is not None for one in ended)


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    """A good trail of two runs that trained together. Copy it before changing it."""
    return Trail.read(made_once(tmp_path_factory, "good-together", run_both) / "verdicts")


def edit_company(change: Callable[[dict[str, Any]], None]) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Change what every run says of the second hypothesis."""

    def edit(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "run_started":
            change(event["body"]["together"][1])
        return event

    return edit


def test_a_good_trail_has_no_such_finding(both: Trail) -> None:
    assert not LATE & sorts(audited(both))
    assert {
        event["body"]["together"][1]["hypothesis"] for _, event in both.events() if "together" in event["body"]
    } == {"second"}


@pytest.mark.parametrize(
    "told",
    [
        {"seeds": [1, 2, 3, 4, 5]},
        {"canonical": "0" * 64},
        {"registration": "0" * 64},
        {"hypothesis": "third"},
    ],
    ids=str,
)
def test_another_company_than_trained_is_found(both: Trail, told: dict[str, Any]) -> None:
    trail = both.copy()
    trail.rebuild(edit_company(lambda companion: companion.update(told)))
    assert "company-otherwise" in sorts(audited(trail))


def test_an_attempt_of_the_company_that_was_hidden_is_missed(both: Trail) -> None:
    """Its replicas were trained, and their results could be read beside those of the first."""
    trail = both.copy()
    start, _ = trail.find("run_started", "second")
    about = [digest for digest, event in trail.events() if event["body"].get("run") == start]
    trail.rebuild(without(start, *about))
    assert "company-unstarted" in sorts(audited(trail))


def test_a_page_that_keeps_its_company_to_itself_is_found(both: Trail) -> None:
    trail = both.copy()
    forged_file(trail, "env.json", lambda page: page.pop("together"))
    assert "page-otherwise" in sorts(audited(trail))


def test_who_reads_values_in_the_other_ones_folder_and_closes_is_told_on(tmp_path: Path) -> None:
    seen: list[int] = []
    reporter = Reporter(progress=lambda at: seen.append(at.epoch), stop=lambda: bool(seen) and max(seen) >= 2)
    with pytest.raises(Interrupted):
        run_both(tmp_path, reporter)
    trail = Ledger(tmp_path / "verdicts")
    (first,), (second,) = trail.index().starts("first"), trail.index().starts("second")
    assert [path.name for path in (trail.root / second.folder / "work").iterdir() if path.suffix] == []
    assert any((trail.root / first.folder / "work").glob("*.safetensors"))
    body = close_attempt(second.name, trail, "It was started by mistake.").body
    assert body.progress is not None and body.progress.readable and body.progress.replicas == 15
    assert body.progress.trained + body.progress.under_way <= 15
    found = audit_trail(tmp_path / "verdicts", tmp_path / "hypotheses").findings
    assert [finding.hypothesis for finding in found if finding.code == "given-up-late"] == ["second"]
    ended = list(run_several([tmp_path / "hypotheses" / "first.yaml"], Settings(device="cpu"), Reporter()))
    assert ended[0].report is not None
