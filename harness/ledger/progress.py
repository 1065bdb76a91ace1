"""Progress of an attempt, by its working files: read without PyTorch, and without trusting what lies there.

Whoever closes an attempt after its first values could be read may have closed it because of them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.domain.tuning import count_replicas
from harness.errors import HarnessError
from harness.ledger.attempt_records import AttemptProgress
from harness.ledger.company import find_company
from harness.ledger.events import Ledger
from harness.ledger.index import StartedRun
from harness.ledger.partial import SUFFIX, read_partial
from harness.records.plan import read_shared_arm
from harness.records.tuning import Tuning
from harness.system.reading import LARGEST_FILE, read_beginning, read_regular
from harness.wording import format_count

ELSEWHERE = "elsewhere"
"""Working file with the folder of the jobs that train an attempt's cohorts on other machines, one folder each."""
SEAL = 65
"""Bytes of the digest, with its line end, that a working file begins with."""
LARGEST_HEADER = 2**26


def read_progress(trail: Ledger, run: StartedRun) -> AttemptProgress | None:
    """Read how far an attempt had come; None if its working files are not here."""
    folder = trail.root / run.folder / "work"
    if not folder.is_dir():
        return None
    trained: set[tuple[str, int]] = set()
    under_way: dict[Path, int] = {}
    """Cohort, by its files without their endings → replicas."""
    epoch, readable = 0, bool(trail.index().looks(run.digest))
    # What trains in cohorts with others may lie in their folders, too: whoever reads it there has read it.
    theirs = [trail.root / one.folder / "work" for one in find_company(trail, run).values() if one is not None]
    places = (folder, *(job / "work" for job in find_jobs(folder)), *theirs)
    for file in sorted(file for place in places if place.is_dir() for file in place.iterdir()):
        with suppress(OSError, ValueError, KeyError, TypeError):  # a damaged one is trained again
            if file.suffix == ".json":
                found = json.loads(read_regular(file, LARGEST_FILE)[SEAL:])["replicas"]
                own = {
                    (one["arm"], one["seed_index"])
                    for one in found
                    if _is_own(one["arm"], run, file.parent not in theirs)
                }
                trained |= own
                readable = readable or bool(own)
            elif file.suffix == ".safetensors":
                told = _read_header(file)
                log = json.loads(told["log"])
                under_way[file.with_suffix("")] = len(log["diverged"])
                epoch = max(epoch, int(told["epoch"]))
                readable = readable or bool(log["epochs"])
            elif file.suffix == SUFFIX and (partial := read_partial(file)) is not None and partial.epochs:
                under_way[file.with_suffix("")] = len(partial.replicas)
                epoch, readable = max(epoch, partial.epochs[-1]), True
    replicas, done = _count_replicas(trail, run), len(trained)
    count = sum(under_way.values())
    if run.body.together and replicas is not None:  # a checkpoint may hold those of other hypotheses, and doesn't say
        count = min(count, replicas - done)
    return AttemptProgress(replicas=replicas, trained=done, under_way=count, epoch=epoch, readable=readable)


def find_jobs(folder: Path) -> list[Path]:
    """Find the folders of jobs on other machines, where results lie until they are fetched into ``folder``."""
    with suppress(OSError, ValueError):
        return sorted(Path(read_regular(folder / ELSEWHERE, LARGEST_FILE).decode()).glob("job-*"))
    return []


def _is_own(arm: str, run: StartedRun, here: bool) -> bool:
    """Tell whether an arm of a cohort is one of an attempt; ``here``: the cohort lies in its folder or jobs."""
    return read_shared_arm(arm, run.hypothesis) is not None and (here or "/" in arm)


def _read_header(file: Path) -> dict[str, Any]:
    """Read what a checkpoint says of itself."""
    length = int.from_bytes(read_beginning(file, SEAL + 8)[SEAL:], "little")
    if length > LARGEST_HEADER:
        raise ValueError("a header that is too long")
    told: dict[str, Any] = json.loads(read_beginning(file, SEAL + 8 + length)[SEAL + 8 :])["__metadata__"]
    return told


def _count_replicas(trail: Ledger, run: StartedRun) -> int | None:
    """Count all replicas of an attempt; None if its registered form is not here."""
    try:
        form = json.loads(trail.read_object(run.body.canonical))
        tuning = form.get("tuning")
        searched = count_replicas(Tuning.model_validate(tuning)) if tuning else 0
        return len(form["arms"]) * len(run.body.seeds) + searched
    except (HarnessError, ValueError, KeyError, TypeError):
        return None


def describe_progress(progress: AttemptProgress | None) -> str:
    """Say how far an attempt had come, as a clause; empty where nobody knows."""
    if progress is None:
        return ""
    whole = f" of {progress.replicas}" if progress.replicas is not None else ""
    came = f"after {progress.trained}{whole} replicas were trained"
    if progress.under_way:
        came += f" and {progress.under_way} had come to {format_count(progress.epoch, 'whole epoch')}"
    values = "measured values could be read" if progress.readable else "no measured value could be read yet"
    return f"{came}; {values}"
