"""Names of stored weights, as env.json and the folder ``weights`` of a run have them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

RUN_DIGITS = 12


def name_weights(arm: str, seed_index: int, epoch: int | None = None) -> str:
    """Return the file of a replica's weights, below a run's folder ``weights``; ``epoch``: None for the last."""
    return f"{arm}/{seed_index}.safetensors" if epoch is None else f"{arm}/{seed_index}-epoch-{epoch}.safetensors"


def list_kept_epochs(files: Iterable[str], arm: str, last: int) -> list[int]:
    """Return the epochs, ascending, after which weights of an arm were kept, by their files; ``last``: its last."""
    pattern = re.compile(rf"{re.escape(arm)}/[0-9]+(?:-epoch-([0-9]+))?\.safetensors")
    matches = (pattern.fullmatch(file) for file in files)
    return sorted({last if match[1] is None else int(match[1]) for match in matches if match})


def name_source(run: str, arm: str, epoch: int) -> str:
    """Return the name under which events hold the digest of weights that an arm starts from."""
    return f"run {run[:RUN_DIGITS]}, weights of {arm} after epoch {epoch}"


def digest_source(files: Sequence[str]) -> str:
    """Return one SHA-256 for the weights that an arm starts from, from those of its files in the order of the seeds."""
    return hashlib.sha256("\n".join(files).encode()).hexdigest()
