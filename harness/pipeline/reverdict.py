"""A stored run judged again: as it was registered or, to see what hangs on that, otherwise."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import inference, programs, verdict
from harness.domain.templates import describe_unknown
from harness.domain.trained import name_replica
from harness.domain.tuning import make_search
from harness.errors import UsageError
from harness.ledger import Ledger, LookBody
from harness.ledger.seeding import derive_tuning_seeds
from harness.pipeline.garbage import pause_collection
from harness.pipeline.judge import render_verdict
from harness.pipeline.program import RAW, read_raw
from harness.pipeline.run_files import StoredRun, read_file, read_run
from harness.records import Decision, Hypothesis, Measurements, Registered, Replica
from harness.system.storage import write_atomic
from harness.wording import format_for_file, suggest

ROUNDING = 1e-9  # relative difference of statistics that two machines may have


@dataclass(frozen=True)
class Recomputed:
    """A verdict computed again from what is stored."""

    folder: Path
    outcome: str
    differing: tuple[str, ...]
    """Files that came out otherwise than stored."""
    rounded: tuple[str, ...]
    """Files with the same content whose numbers differ in their last digits: another machine adds in another order."""
    redrawn: tuple[str, ...]
    """Figures with other bytes: another version of matplotlib draws the same numbers otherwise."""
    drawn: bool
    """True if the figures were drawn again."""
    added: tuple[str, ...] = ()
    """Figures that the run did without, and that are in its folder now."""
    unknown: str | None = None
    """Part of the page that no release knows: its template, or its form; None if all is known."""


@pause_collection()
def judge_again(name: str, trail: Ledger, *, figures: bool = False) -> Recomputed:
    """Judge a stored run again from its registration, results.json and env.json: no torch, no data, no training.

    The verdict is a pure function of these and of the run's template, so its text must come out to the same bytes, and
    its numbers too but for a last digit on another machine. Figures are drawn again only if asked for: it takes longer
    than all else, and another matplotlib draws otherwise, so that nothing rests on it. Those that could not be drawn
    when the verdict was written are put into the run's folder then; the ledger names them nowhere.

    Raises:
        UsageError, Tampered: as ``read_run``.
    """
    found = read_run(trail, name)
    folder, hypothesis = found.folder, found.registered.hypothesis
    version = json.loads(read_file(folder / "verdict.json"))["v"]
    decided = inference.decide(hypothesis, found.measurements).model_copy(update={"search": found.search})
    decision = verdict.word_decision(hypothesis, decided, version)
    files = render_verdict(
        found.registered,
        found.measurements,
        decision,
        found.provenance,
        found.templates,
        version=version,
        figures=figures,
    )
    digests = {template: hashlib.sha256(data).hexdigest() for template, data in found.templates.items()}
    differing = find_other_looks(found.looks, hypothesis, found.measurements, decision)
    differing += find_other_choice(found)
    differing += find_other_readings(found)
    due = {"env.json", "results.json", "verdict.json", "verdict.md", *_list_figures(found, decision)}
    due |= {"search.json"} if found.search is not None else set()
    due |= {RAW} if hypothesis.program is not None else set()
    differing += sorted(due ^ found.recorded.keys())
    rounded, redrawn, added = [], [], []
    for file, data in sorted(files.items()):
        if file in found.provenance.undrawn:
            write_atomic(folder / file, data)
            added.append(file)
            continue
        before = read_file(folder / file)
        if before != data:
            if file.endswith(".svg"):
                redrawn.append(file)
            elif file.endswith(".json") and is_close(json.loads(before), json.loads(data)):
                rounded.append(file)
            else:
                differing.append(file)
    return Recomputed(
        folder,
        decision.outcome,
        tuple(differing),
        tuple(rounded),
        tuple(redrawn),
        figures,
        tuple(added),
        describe_unknown(digests, version),
    )


def _list_figures(found: StoredRun, decision: Decision) -> set[str]:
    """Return the names of the figures that belong to a stored run's page."""
    drawings = verdict.list_drawings(found.registered.hypothesis, found.measurements, decision)
    return set(drawings) - {*found.provenance.undrawn}


def find_other_choice(found: StoredRun) -> list[str]:
    """Name the choice of a run's search if it doesn't follow from search.json as the ledger tells it, or its seeds."""
    if found.search is None or found.searched is None:
        return [] if found.tuned is None else ["ledger: the choice of a search that there is not"]
    wrong = found.tuned is None or found.tuned.chosen != found.search.choices
    wrong = wrong or found.tuned is None or found.tuned.search != found.recorded.get("search.json")
    other = found.search.seeds != derive_tuning_seeds(found.registered.seeds, len(found.search.seeds))
    return ["ledger: the choice of the search"] * wrong + ["search.json: its seeds"] * other


def find_other_readings(found: StoredRun) -> list[str]:
    """Name the replicas of a program whose results are not what its results files say, read again.

    A replica that failed for another reason than its file is taken at the word of whoever ran it.
    """
    hypothesis = found.registered.hypothesis
    if found.linked is not None:
        return find_other_links(found, found.linked)
    if hypothesis.results is None or RAW not in found.recorded:
        return []
    try:
        raw = read_raw(read_file(found.folder / RAW))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{RAW}: it holds no results files"]
    wrong, known, arms = [], set(), dict(hypothesis.arms)
    if found.search is not None and found.searched is not None:
        arms |= make_search(hypothesis, found.search.seeds).arms
    told = [("results.json", one) for one in found.measurements.replicas]
    told += [("search.json", one) for one in (() if found.searched is None else found.searched.replicas)]
    for file, one in told:
        if (arm := arms.get(one.arm)) is None:
            wrong.append(f"{file}: {one.arm} is neither an arm nor a candidate of the search")
            continue
        if not arm.is_program:
            what = f"{file}: {one.arm}, seed {one.seed_index}, which harness trained, names a results file"
            wrong += [what] * (one.raw is not None)
            continue
        name = name_replica(one.arm, one.seed_index)
        known.add(name)
        content = raw.get(name)
        if content is None:
            wrong += [f"{RAW}: {name} is missing"] * (one.raw is not None or one.status != "failed")
            continue
        replica = Replica(arm=one.arm, seed_index=one.seed_index, seed=one.seed)
        again = programs.read_replica(replica, arm, content, hypothesis.results)
        if again != one and not (one.status == "failed" and one.raw == again.raw and again.status != "failed"):
            wrong.append(f"{RAW}: {name} does not say what {file} has")
    return [*wrong, *(f"{RAW}: {name} is not a replica of the run" for name in sorted(raw.keys() - known))]


def find_other_links(found: StoredRun, linked: programs.Accounted) -> list[str]:
    """Name what of a run that was made elsewhere does not follow from the exports that the ledger names."""
    wrong = [] if found.provenance.linked == linked.told else ["env.json: the account of runs made elsewhere"]
    if found.measurements.replicas != linked.replicas:
        wrong.append("results.json: the replicas of runs made elsewhere")
    try:
        raw = read_raw(read_file(found.folder / RAW))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [*wrong, f"{RAW}: it holds no results files"]
    return wrong if raw == dict(linked.raw) else [*wrong, f"{RAW}: it is not what the exports tell"]


def find_other_looks(
    recorded: Sequence[LookBody], hypothesis: Hypothesis, measurements: Measurements, decision: Decision
) -> list[str]:
    """Name the looks that don't follow from the results as the ledger tells them: ``ledger: the look at 5 seeds``."""
    entered = {look.seeds: look for look in recorded}
    wrong = [seeds for seeds in entered if seeds not in {look.seeds for look in decision.looks}]
    for look in decision.looks:
        before = entered.get(look.seeds)
        last = look.outcome != "inconclusive" or look.seeds == hypothesis.looks[-1]
        results = hashlib.sha256(measurements.take_first(look.seeds).to_json().encode()).hexdigest()
        if (
            before is None
            or (before.outcome, before.results) != (look.outcome if last else None, results)
            or not is_close(before.p, look.p)
        ):
            wrong.append(look.seeds)
    return [f"ledger: the look at {seeds} seeds" for seeds in sorted(wrong)]


def is_close(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same up to 1e-9 of their numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float | int) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-300)
    return type(one) is type(other) and bool(one == other)


@dataclass(frozen=True)
class Sensitivity:
    """Outcomes of a stored run under other criteria and levels; nothing of it is kept."""

    folder: Path
    registered: Registered
    alternatives: tuple[inference.Alternative, ...]


def analyse_sensitivity(
    name: str, trail: Ledger, criteria: Sequence[str] = (), alphas: Sequence[float] = ()
) -> Sensitivity:
    """Decide a stored run under other criteria (all of them, if none is named) and other levels.

    Raises:
        UsageError: a criterion or a level that does not exist, or as ``read_run``.
        Tampered: as ``read_run``.
    """
    known = inference.list_criteria()
    if unknown := [name for name in criteria if name not in known]:
        remedy = f"criteria: {', '.join(known)}"
        raise UsageError(
            f"there is no criterion {unknown[0]!r}{suggest(unknown[0], known)}", where="--criterion", remedy=remedy
        )
    if odd := [alpha for alpha in alphas if not 0 < alpha < 0.5]:
        raise UsageError(
            f"a significance level lies above 0 and below .5, and {format_for_file(odd[0])} does not",
            where="--alpha",
            remedy="give for example --alpha 0.01",
        )
    found = read_run(trail, name)
    made = inference.judge_alternatives(found.registered.hypothesis, found.measurements, criteria or known, alphas)
    return Sensitivity(found.folder, found.registered, made)
