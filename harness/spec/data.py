"""Rules about the data of an arm: what it asks for must be there, and metrics need the split that they measure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.domain.measured import explain_unmeasurable
from harness.metrics import parse_metric
from harness.plugins.registry import find_members
from harness.records import Setup
from harness.spec.draft import Draft
from harness.spec.tree import Path, Problem
from harness.wording import format_count, suggest


def check_data(draft: Draft) -> Iterator[Problem]:
    """Yield what an arm asks of its data set that the data set doesn't have."""
    for name, arm in draft.built_in.items():
        path, setup = ("arms", name, "setup"), arm.setup
        missing = list(_check_classes(path, setup))
        yield from missing
        if not missing:  # counts are those of the classes
            yield from _check_counts(path, setup)
            yield from _check_probe(path, setup, draft)
        yield from _check_metrics(path, setup)


def _check_classes(path: Path, setup: Setup) -> Iterator[Problem]:
    chosen = setup.subset.classes if setup.subset is not None else None
    for position, number in enumerate(chosen or ()):
        if number >= setup.dataset.classes:
            message = f"{setup.dataset.name} has no class {number:,}"
            remedy = f"its classes are numbered from 0 to {setup.dataset.classes - 1}"
            yield Problem((*path, "subset", "classes", position), message, remedy)


def _check_counts(path: Path, setup: Setup) -> Iterator[Problem]:
    """Yield splits that are larger than what they are taken from, or too small for a class to be in them."""
    of = "" if setup.classes == setup.dataset.classes else " of these classes"
    there, classes = setup.available_count, setup.classes
    if setup.validation is not None:
        key = "share" if setup.validation.share is not None else "count"
        at, count = (*path, "validation", key), setup.validation_count
        if count > there - classes:
            message = f"a validation split of {count:,} leaves too few of {there:,} training images{of}"
            yield Problem(at, message, f"leave {format_count(classes, 'image')} at least, one of each class")
            return
        if count < classes:
            message = f"a validation split of {format_count(count, 'image')} can't hold all {classes} classes"
            yield Problem(at, message, f"ask for {classes} images or more")
    if setup.subset is not None and setup.subset.size is not None:
        at, size, left = (*path, "subset", "size"), setup.subset.size, there - setup.validation_count
        if size > left:
            apart = f" after {setup.validation_count:,} for validation" if setup.validation is not None else ""
            message = f"size is {size:,}, but {setup.dataset.name} has {left:,} training images{of}{apart}"
            yield Problem(at, message, f"ask for {left:,} or fewer, or leave size out for all")
            return
        if size < classes:
            message = f"a subset of {format_count(size, 'image')} can't hold all {classes} classes"
            yield Problem(at, message, f"ask for {classes} images or more, or for fewer classes")
    if (setup.subset is not None or setup.validation is not None) and setup.batch_size > setup.train_count:
        message = f"batch_size is {setup.batch_size:,}, but only {setup.train_count:,} images are trained on"
        yield Problem((*path, "batch_size"), message, f"set batch_size to {setup.train_count:,} or less")


def _check_probe(path: Path, setup: Setup, draft: Draft) -> Iterator[Problem]:
    at = (*path, "evaluation", "probe_samples")
    samples, there = setup.evaluation.probe_samples, setup.test_count
    if samples > there:
        default = " (the default)" if draft.root.nearest(at)[1] else ""
        of = "" if setup.classes == setup.dataset.classes else " of these classes"
        message = f"probe_samples is {samples:,}{default}, but {setup.dataset.name} has {there:,} test samples{of}"
        yield Problem(at, message, f"set evaluation.probe_samples to {there} or less")


def _check_metrics(path: Path, setup: Setup) -> Iterator[Problem]:
    """Yield metrics that nobody knows, and metrics of a validation split where none is set apart."""
    known = find_members("metrics")
    for position, entry in enumerate(setup.evaluation.metrics):
        at = (*path, "evaluation", "metrics", position)
        if isinstance(entry, str) and entry not in known:
            message = f"no metric is called {entry!r}{suggest(entry, known)}"
            yield Problem(at, message, f"known: {', '.join(known)}")
            continue
        try:
            metric = parse_metric(entry) if isinstance(entry, str) else entry
        except ValueError:  # a plug-in that cannot do without parameters
            yield Problem(at, f"{entry} needs parameters", f"write {{name: {entry}, …}}; see harness explain {entry}")
            continue
        if (why := explain_unmeasurable(metric, setup)) is not None:
            yield Problem(at, *why)
