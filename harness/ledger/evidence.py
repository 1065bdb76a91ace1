"""The result of checking a piece of outside evidence: a time stamp or a signature over a head."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Found(NamedTuple):
    """The result of one check."""

    status: Literal["verified", "unchecked", "wrong"]
    """verified: by a root or signer that the reader named; unchecked: nobody vouches for who made it, or it can't be
    checked here; wrong: it does not fit, it is missing, or the roots or signers that the reader named did not make it.
    """
    problem: str | None = None
    """The reason that it is not verified."""
    time: str | None = None
    """UTC, by the authority's clock."""
    remedy: str | None = None
    """Remedy where it can't be checked."""
    fits: bool = False
    """True if it was shown to be of this head, whoever made it."""
