"""The part of a data set that an arm uses: its classes, its validation split and its number of training images.

The same images are selected for all seeds, by a fixed key: what a data set holds does not depend on chance. First the
classes are restricted, then the validation split is set apart, then the training images are drawn from the rest. Arms
with training sets of different sizes are therefore validated on the same images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.datasets import Images, Selected
from harness.errors import UsageError
from harness.records import DataRecord, Hypothesis, Setup, Subset, UsedData, Validation

if TYPE_CHECKING:
    import numpy as np

FIXED_SEED = 0  # of all selections


def select_images(images: Images, setup: Setup) -> Images:
    """Return what an arm of this setup uses of its data set; the images themselves if that is everything.

    Images that were selected before are returned as they are.

    Raises:
        UsageError: There are fewer images than the setup asks for.
    """
    if images.selected is not None or (setup.subset is None and setup.validation is None):
        return images
    import numpy as np

    numbers = np.array(setup.class_numbers)
    train = np.flatnonzero(np.isin(images.train_labels, numbers))
    test = np.flatnonzero(np.isin(images.test_labels, numbers))
    labels = np.searchsorted(numbers, images.train_labels[train])
    apart = _draw(labels, 0 if setup.validation is None else setup.validation.count_of(len(train)), "validation", setup)
    rest = np.setdiff1d(np.arange(len(train)), apart)
    size = setup.subset.size if setup.subset is not None else None
    kept = rest if size is None else rest[_draw(labels[rest], size, "subset", setup)]
    if not len(kept):
        raise _refuse(f"the validation split takes all {len(train):,} training images", setup)
    return Images(
        train_images=images.train_images[train[kept]],
        train_labels=labels[kept].astype(np.int64),
        test_images=images.test_images[test],
        test_labels=np.searchsorted(numbers, images.test_labels[test]).astype(np.int64),
        classes=tuple(images.classes[number] for number in numbers),
        origin=images.origin,
        canonical=False,
        selected=Selected(
            train_index=train[kept],
            train_total=len(images.train_labels),
            validation_images=images.train_images[train[apart]],
            validation_labels=labels[apart].astype(np.int64),
        ),
    )


def _draw(labels: np.ndarray, count: int, purpose: str, setup: Setup) -> np.ndarray:
    """Return the places of ``count`` images, ascending, of which every class has its share, to within one image."""
    import numpy as np

    from harness.batched.keyed import permutation

    if count > len(labels):
        asked = f"{count:,} images are asked for the {'training' if purpose == 'subset' else purpose} split"
        raise _refuse(f"{asked}, and there are {len(labels):,} to draw from", setup)
    quotas = share_out(count, np.bincount(labels, minlength=setup.classes).tolist())
    order = permutation(len(labels), FIXED_SEED, f"data/{purpose}")
    chosen = [order[labels[order] == label][:quota] for label, quota in enumerate(quotas)]
    return np.sort(np.concatenate(chosen))


def share_out(count: int, sizes: list[int]) -> list[int]:
    """Share ``count`` out in proportion to ``sizes``, by the method of the largest remainders (Hamilton's).

    Every share is the exact one, rounded down or up; of equal remainders, the first come first.
    """
    total = sum(sizes)
    shares = [count * size // total for size in sizes] if total else [0] * len(sizes)
    by_remainder = sorted(range(len(sizes)), key=lambda place: -(count * sizes[place] % total) if total else 0)
    for place in by_remainder[: count - sum(shares)]:
        shares[place] += 1
    return shares


def _refuse(message: str, setup: Setup) -> UsageError:
    return UsageError(message, where=setup.dataset.name, remedy="ask for fewer in setup.subset or setup.validation")


def foretell_parts(hypothesis: Hypothesis) -> dict[str, str]:
    """Return arms, joined by commas → what they use of their data set, for arms that don't use all of it, in words.

    Sizes are those that the data set declares, before it is loaded.
    """
    arms: dict[str, list[str]] = {}
    for name, arm in hypothesis.arms.items():
        setup = arm.setup
        if setup.subset is not None or setup.validation is not None:
            apart = f"{setup.validation_count:,} validation, " if setup.validation is not None else ""
            told = f"{setup.train_count:,} training, {apart}{setup.test_count:,} test images of {setup.classes} classes"
            arms.setdefault(f"{setup.dataset.name}: {told}", []).append(name)
    return {", ".join(names): told for told, names in arms.items()}


def describe_used(hypothesis: Hypothesis, name: str, images: Images) -> tuple[UsedData, ...]:
    """Return the parts of a data set that a hypothesis's arms use, each with its arms; empty if all use all of it."""
    arms: dict[tuple[Subset | None, Validation | None], list[str]] = {}
    setups: dict[tuple[Subset | None, Validation | None], Setup] = {}
    for arm, spec in hypothesis.arms.items():
        setup = spec.setup
        if setup.dataset.name == name and (setup.subset is not None or setup.validation is not None):
            arms.setdefault((setup.subset, setup.validation), []).append(arm)
            setups[setup.subset, setup.validation] = setup
    return tuple(_describe_part(select_images(images, setups[part]), names) for part, names in arms.items())


def _describe_part(part: Images, arms: list[str]) -> UsedData:
    selected = part.selected
    assert selected is not None
    return UsedData(
        arms=tuple(arms),
        fingerprint=part.fingerprint,
        train=len(part.train_labels),
        test=len(part.test_labels),
        classes=part.classes,
        validation=len(selected.validation_labels) or None,
        validation_fingerprint=selected.validation_fingerprint,
    )


def note_used(record: DataRecord) -> tuple[str, ...]:
    """Return what a reader of the page must know of the parts that arms used, one sentence each."""
    return tuple(_note_part(part) for part in record.used)


def _note_part(part: UsedData) -> str:
    apart = ""
    if part.validation is not None:
        apart = f", and validated on {part.validation:,} (SHA-256 {part.validation_fingerprint})"
    classes = len(part.classes)
    named = f"{classes} classes" if classes > 10 else f"the classes {', '.join(part.classes)}"
    return (
        f"{', '.join(part.arms)}: trained on {part.train:,} and tested on {part.test:,} images of {named} "
        f"(SHA-256 {part.fingerprint}){apart}"
    )
