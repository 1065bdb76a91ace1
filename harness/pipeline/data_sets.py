"""The data sets of a file: which ones, and where they would be loaded from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.datasets import Dataset
from harness.errors import UsageError
from harness.pipeline.project import Settings
from harness.records import Hypothesis


def collect_data_sets(hypothesis: Hypothesis, settings: Settings) -> dict[str, Dataset]:
    """Collect the data sets of all arms that harness trains, by name.

    Raises:
        UsageError: a data folder was given, and none of them reads one.
    """
    if (own := hypothesis.built_in) is None:
        return {}
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in own.arms.values()}
    if "data" in settings.typed and all(dataset.bundled for dataset in sets.values()):
        message = f"has no effect: no folder is read for {', '.join(sorted(sets))}, which comes with a package"
        raise UsageError(message, where="--data", remedy="leave it out")
    return sets


def locate_with_doubt(dataset: Dataset, root: Path) -> str:
    """Say where a data set would be loaded from, and why a verdict would not call it the official files, if so.

    A file that can't be read is named by whoever loads it.
    """
    place = dataset.locate(root)
    try:
        doubt = dataset.doubt(root)
    except UsageError as error:
        doubt = error.message
    return place if doubt is None else f"{place}; {doubt}"


def list_data_deviations(registered: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """List the data sets whose bytes are not those of the registration, one sentence each."""
    return tuple(
        f"the data of {name} differ from those at registration: {registered[name][:12]} → {fingerprint[:12]}"
        for name, fingerprint in now.items()
        if registered.get(name, fingerprint) != fingerprint
    )
