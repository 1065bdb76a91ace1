"""Stored weights of earlier runs from which arms start: found by the run's digest, and compared with the arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness import spec
from harness.errors import Finding, HarnessError, UsageError
from harness.ledger import Ledger
from harness.pipeline.run_files import StoredRun, read_run
from harness.pipeline.weights import locate_weights
from harness.records import Arm, Hypothesis, Setup, Start
from harness.records.weights import digest_source, name_source
from harness.wording import format_count

if TYPE_CHECKING:
    from harness.training.stored import WeightsFile

RULE = "init-from"


class Unfit(UsageError):
    """An arm that can't start from the weights that it names; ``key`` of its ``init_from`` is to be changed."""

    def __init__(self, message: str, *, arm: str, key: str, remedy: str) -> None:
        super().__init__(message, where=f"arms.{arm}.init_from.{key}", remedy=remedy)
        self.path = ("arms", arm, "init_from", key)


@dataclass(frozen=True)
class Source:
    """The stored weights that an arm starts from."""

    files: tuple[WeightsFile, ...]
    """Files of the weights, in the order of the seeds."""
    starts: tuple[Start, ...]
    """Start of each replica, in the same order."""
    name: str
    """The name under which events hold their digest."""

    @property
    def digest(self) -> str:
        """Return one digest for all files."""
        return digest_source([file.digest for file in self.files])


@dataclass(frozen=True)
class Sources:
    """The stored weights that a hypothesis's arms start from."""

    arms: Mapping[str, Source] = field(default_factory=dict)
    """Arm → its weights, for arms that ask for some."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return name → digest, as registrations and runs fix it beside the data."""
        return {source.name: source.digest for source in self.arms.values()}

    @property
    def starts(self) -> dict[str, tuple[Start, ...]]:
        """Return arm → what each of its replicas starts from."""
        return {arm: source.starts for arm, source in self.arms.items()}

    @property
    def paths(self) -> dict[str, Path]:
        """Return SHA-256 → file."""
        return {file.digest: file.path for source in self.arms.values() for file in source.files}

    def verify(self) -> None:
        """Read every file, before anything is entered or trained.

        Raises:
            UsageError: a file is not there.
            Tampered: a file is not the one of its digest.
        """
        from harness.training.stored import read_tensors

        for file in {file.digest: file for source in self.arms.values() for file in source.files}.values():
            read_tensors(file)


def find_sources(hypothesis: Hypothesis, trail: Ledger) -> Sources:
    """Find the stored weights that a hypothesis's arms start from; whether the files are there is not looked at.

    Raises:
        Unfit: the run is not in this trail or kept no such weights, or the weights don't fit the arm.
        Tampered: files of that run are not those that the ledger names.
    """
    runs: dict[str, StoredRun] = {}
    return Sources(
        {
            name: _find_source(name, arm, hypothesis, trail, runs)
            for name, arm in hypothesis.arms.items()
            if arm.init_from is not None
        }
    )


def describe_sources(sources: Sources) -> tuple[str, ...]:
    """Say for each arm what stored weights it starts from, and how many of their files are not here."""
    found = []
    for arm, source in sources.arms.items():
        missing = sum(not file.path.is_file() for file in source.files)
        here = f"{missing} of {format_count(len(source.files), 'file')} not here" if missing else "all files are here"
        found.append(f"{arm} starts from {source.name}: {here}")
    return tuple(found)


def find_misfits(loaded: spec.Loaded, trail: Ledger) -> Iterator[Finding]:
    """Yield a finding for each arm of a valid file that can't start from the weights that it names."""
    runs: dict[str, StoredRun] = {}
    for name, arm in loaded.hypothesis.arms.items():
        if arm.init_from is None:
            continue
        try:
            _find_source(name, arm, loaded.hypothesis, trail, runs)
        except Unfit as error:
            yield spec.make_error(loaded, RULE, error.path, error.message, error.remedy or "")
        except HarnessError as error:
            yield spec.make_error(loaded, RULE, ("arms", name, "init_from", "run"), error.message, error.remedy or "")


def _find_source(name: str, arm: Arm, hypothesis: Hypothesis, trail: Ledger, runs: dict[str, StoredRun]) -> Source:
    asked = arm.init_from
    assert asked is not None
    try:
        if asked.run not in runs:
            runs[asked.run] = read_run(trail, asked.run)
        stored = runs[asked.run]
    except UsageError as error:
        remedy = "name a judged run of this trail, as harness show HYPOTHESIS names it"
        message = f"run {asked.run} can't be started from: {error.message}"
        raise Unfit(message, arm=name, key="run", remedy=error.remedy or remedy) from error
    try:
        files = locate_weights(stored, asked.arm, asked.epoch)
    except UsageError as error:
        key = "arm" if asked.arm not in stored.registered.hypothesis.arms else "epoch" if asked.epoch else "run"
        raise Unfit(f"{error.where}: {error.message}", arm=name, key=key, remedy=error.remedy or "") from error
    source = stored.registered.hypothesis.arms[asked.arm]
    epoch = source.setup.epochs if asked.epoch is None else asked.epoch
    _refuse_misfit(name, arm, hypothesis, stored, epoch)
    seeds = stored.measurements.seeds
    kept = _find_feedback_seeds(asked.arm, stored, trail) if asked.feedback == "kept" else None
    return Source(
        files=tuple(files),
        starts=tuple(
            Start(weights=file.digest, feedback_seed=None if kept is None else kept[index])
            for index, file in enumerate(files[: len(seeds)])
        ),
        name=name_source(asked.run, asked.arm, epoch),
    )


def _find_feedback_seeds(arm: str, stored: StoredRun, trail: Ledger) -> tuple[int, ...]:
    """Return the seeds that drew a stored arm's feedback: its own, or those of the run that it went on from."""
    before = stored.registered.hypothesis.arms[arm].init_from
    if before is None or before.feedback == "fresh":
        return stored.measurements.seeds
    return _find_feedback_seeds(before.arm, read_run(trail, before.run), trail)


def _refuse_misfit(name: str, arm: Arm, hypothesis: Hypothesis, stored: StoredRun, epoch: int) -> None:
    """Refuse weights of another model, precision, data set or number of seeds, or of a replica that had diverged."""
    asked = arm.init_from
    assert asked is not None
    source = stored.registered.hypothesis.arms[asked.arm].setup
    seeds, there = hypothesis.seeds.number, len(stored.measurements.seeds)
    if seeds != there:
        message = (
            f"{format_count(seeds, 'seed')} can't start from {there}: each starts from the stored seed of its number"
        )
        raise Unfit(message, arm=name, key="run", remedy=f"ask for {format_count(there, 'seed')}")
    if (arm.setup.dataset.name, arm.setup.class_numbers) != (source.dataset.name, source.class_numbers):
        message = f"run {stored.provenance.run} trained on other data: {_describe_data(source)}"
        raise Unfit(message, arm=name, key="run", remedy=f"train on the same; here it is {_describe_data(arm.setup)}")
    if _shape(arm.setup) != _shape(source):
        message = f"run {stored.provenance.run} trained another model: {_describe_model(source)}"
        remedy = f"use that model; here it is {_describe_model(arm.setup)}"
        raise Unfit(message, arm=name, key="run", remedy=remedy)
    if (arm.setup.precision == "float64") != (source.precision == "float64"):
        message = f"run {stored.provenance.run} trained in {source.precision}, and this arm in {arm.setup.precision}"
        raise Unfit(message, arm=name, key="run", remedy=f"set precision: {source.precision}")
    lost = [
        one.seed_index
        for one in stored.measurements.replicas
        if one.arm == asked.arm and one.diverged_epoch is not None and one.diverged_epoch <= epoch
    ]
    if lost:
        message = f"seed {lost[0]} of {asked.arm} had diverged in run {stored.provenance.run} by epoch {epoch}"
        raise Unfit(message, arm=name, key="epoch" if asked.epoch else "run", remedy="start from an earlier epoch")


def _shape(setup: Setup) -> list[tuple[str, tuple[int, ...]]]:
    specs = setup.model.parameters(setup.dataset.features, setup.classes)
    return [(one.name, one.shape) for one in specs]


def _describe_model(setup: Setup) -> str:
    return ", ".join(f"{key} {value}" for key, value in setup.model.model_dump().items())


def _describe_data(setup: Setup) -> str:
    classes = "" if setup.classes == setup.dataset.classes else f", classes {', '.join(map(str, setup.class_numbers))}"
    return f"{setup.dataset.name}{classes}"
