"""An independent reference for interventions on the data: it shares no code with harness, random words included.

Every draw is the raw stream of NumPy's Philox-4x64 under the first 16 bytes of SHA-256("harness/v1", seed, purpose,
index), as docs/engine.md and the decisions state it.
"""

import hashlib
import math
from fractions import Fraction

import numpy as np


def words(count: int, seed: int, purpose: str, index: int = 0) -> list[int]:
    """Return ``count`` words of 64 bits as whole numbers."""
    text = "\0".join(["harness/v1", str(seed), purpose, str(index)])
    key = hashlib.sha256(text.encode()).digest()[:16]
    return [int(word) for word in np.random.Philox(key=int.from_bytes(key, "little")).random_raw(count)]


def training_labels(
    original: list[int],
    kind: str,
    *,
    seed: int,
    epoch: int,
    classes: int,
    share: float = 0.0,
    places: list[int] | None = None,
    total: int | None = None,
) -> list[int]:
    """Return the labels that one seed is trained on in an epoch (from 0), image by image.

    ``places`` are those of the images among the ``total`` of the data set; without them, these are all.
    """
    count = len(original)
    if places is None or total is None:
        places, total = list(range(count)), count
    if kind == "original":
        return list(original)
    if kind == "shuffled":
        order = words(count, seed, "labels/shuffled")
        return [original[position] for position in sorted(range(count), key=lambda position: order[position])]
    if kind == "random":
        drawn = words(total, seed, "labels/random", epoch)
        return [drawn[place] % classes for place in places]
    if kind != "noisy":
        raise ValueError(f"unknown labels: {kind}")
    chances, steps = words(total, seed, "labels/noisy"), words(total, seed, "labels/noisy/class")
    found = []
    for own, chance, step in ((own, chances[place], steps[place]) for own, place in zip(original, places, strict=True)):
        others = [(own + 1 + place) % classes for place in range(classes - 1)]
        found.append(others[step % (classes - 1)] if ((chance >> 11) + 0.5) / 2**53 < share else own)
    return found


def shares(count: int, sizes: list[int]) -> list[int]:
    """Share ``count`` out in proportion to ``sizes``: whole parts first, then one each by the largest remainder."""
    exact = [Fraction(count * size, sum(sizes)) for size in sizes]
    found = [math.floor(share) for share in exact]
    for place in sorted(range(len(sizes)), key=lambda place: (found[place] - exact[place], place)):
        if sum(found) < count:
            found[place] += 1
    return found


def draw_by_class(labels: dict[int, int], count: int, purpose: str) -> list[int]:
    """Return ``count`` of these images (place → label), ascending: of each class its share, in a keyed order."""
    places = sorted(labels)
    order = words(len(places), 0, purpose)
    shuffled = [places[k] for k in sorted(range(len(places)), key=lambda k: order[k])]
    classes = sorted(set(labels.values()))
    quotas = dict(zip(classes, shares(count, [list(labels.values()).count(c) for c in classes]), strict=True))
    found = []
    for place in shuffled:
        if quotas[labels[place]]:
            quotas[labels[place]] -= 1
            found.append(place)
    return sorted(found)


def split_training(
    labels: list[int], classes: list[int], *, validation: int = 0, size: int | None = None
) -> tuple[list[int], list[int]]:
    """Return the places of the training and of the validation images in the whole training split, ascending."""
    there = {place: label for place, label in enumerate(labels) if label in classes}
    apart = draw_by_class(there, validation, "data/validation") if validation else []
    rest = {place: label for place, label in there.items() if place not in set(apart)}
    return (sorted(rest) if size is None else draw_by_class(rest, size, "data/subset")), apart
