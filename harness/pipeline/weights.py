"""The stored weights of a judged run: which there are, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.pipeline.run_files import StoredRun
from harness.records.weights import list_kept_epochs, name_weights
from harness.wording import join_words

if TYPE_CHECKING:
    from harness.training.stored import WeightsFile

NAMED = 10


def locate_weights(stored: StoredRun, arm: str, epoch: int | None, folder: Path | None = None) -> list[WeightsFile]:
    """Return the files of an arm's weights after an epoch, one per seed; ``epoch``: None for the last.

    Whether they are there is found by whoever reads them. ``folder``: where they lie, if not in the run's folder.

    Raises:
        UsageError: the run has no such arm, kept no weights of it, or none of that epoch.
    """
    from harness.training.stored import WeightsFile

    name, kept, arms = stored.provenance.run, stored.provenance.weights, stored.registered.hypothesis.arms
    if arm not in arms:
        raise UsageError(f"it has no arm {arm!r}", where=f"run {name}", remedy=f"its arms: {', '.join(arms)}")
    last = arms[arm].setup.epochs
    seeds = range(len(stored.measurements.seeds))
    files = [name_weights(arm, index, None if epoch == last else epoch) for index in seeds]
    if missing := [file for file in files if file not in kept]:
        epochs = list_kept_epochs(kept, arm, last)
        if not epochs:
            raise UsageError(
                f"it saved no weights of arm {arm!r}",
                where=f"run {name}",
                remedy="a run keeps weights if its file says so: setup.save: [weights]; this needs a run of its own",
            )
        if len(missing) < len(files):
            raise UsageError(f"its env.json names no {missing[0]}", where=f"run {name}", remedy="see harness audit")
        raise UsageError(
            f"it kept no weights of arm {arm!r} at epoch {epoch}",
            where=f"run {name}",
            remedy=f"it kept those of epoch{'s' * (len(epochs) > 1)} {join_words([*map(str, epochs[:NAMED])])}",
        )
    where = stored.folder / "weights" if folder is None else folder
    return [WeightsFile(where / file, kept[file]) for file in files]
