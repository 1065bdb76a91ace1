"""Checks for implications that contradict themselves or each other, or that no result could count against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from harness.domain.claim_graph import find_grounds
from harness.records import RESERVED_OUTCOMES, Claims
from harness.spec.draft import VERBS, Draft
from harness.spec.tree import Problem


def check_contradictions(draft: Draft, claims: Claims | None) -> Iterator[Problem]:
    """Yield an error if one outcome moves a claim two ways, and warnings for what is merely odd."""
    yield from _check_both_ways(draft)
    yield from _check_grounds(draft, claims)
    yield from _check_reserved(draft)
    yield from _check_falsifiable(draft)
    yield from _check_distinct(draft)


def _check_both_ways(draft: Draft) -> Iterator[Problem]:
    for name, implication in draft.implications.items():
        moves = {verb: getattr(implication, verb) for verb in VERBS}
        for one, other in itertools.combinations(moves, 2):
            for claim in dict.fromkeys(moves[one]):
                if claim in moves[other]:
                    message = f"outcome {name!r} {_describe_verb(one)} and {_describe_verb(other)} the claim {claim!r}"
                    yield Problem(
                        ("implications", name), message, "let one outcome move a claim only one way", on_key=True
                    )


def _check_grounds(draft: Draft, claims: Claims | None) -> Iterator[Problem]:
    """Yield outcomes that support a claim and walk back what it stands on: it would be supported and in question."""
    if claims is None:
        return
    for name, implication in draft.implications.items():
        fallen = set(implication.walks_back)
        for verb in ("supports", "restores"):
            for position, claim in enumerate(getattr(implication, verb)):
                ground = sorted(find_grounds(claims, claim) & fallen - {claim})
                if ground:
                    does = f"{_describe_verb(verb)} {claim!r} and walks back {ground[0]!r}, on which it stands"
                    message = f"outcome {name!r} {does}"
                    remedy = "drop one of them, or correct stands_on in claims.yaml"
                    yield Problem(("implications", name, verb, position), message, remedy, severity="warning")


def _check_reserved(draft: Draft) -> Iterator[Problem]:
    for name in RESERVED_OUTCOMES:
        implication = draft.implications.get(name)
        for verb in VERBS if implication is not None else ():
            for claim in getattr(implication, verb)[:1]:
                message = (
                    f"{name!r} means that nothing was shown, but here it {_describe_verb(verb)} the claim {claim!r}"
                )
                yield Problem(("implications", name, verb), message, "remove the claim here", severity="warning")


def _check_falsifiable(draft: Draft) -> Iterator[Problem]:
    if draft.outcomes is None:
        return
    named = [name for name in dict.fromkeys(draft.outcomes) if name not in RESERVED_OUTCOMES]
    given = [draft.implications.get(name) for name in named]
    if len(given) < 2 or any(implication is None for implication in given):
        return
    for verb in VERBS:
        moved = [set(getattr(implication, verb)) for implication in given]
        for claim in sorted(set.intersection(*moved)):
            message = f"every outcome {_describe_verb(verb)} the claim {claim!r}: no result could say otherwise"
            remedy = "let an outcome count against it, or leave the claim out"
            yield Problem(("implications",), message, remedy, on_key=True, severity="warning")


def _check_distinct(draft: Draft) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, implication in draft.implications.items():
        same = first.setdefault(implication.says, name)
        if same != name:
            message = f"outcomes {same!r} and {name!r} say the same: {implication.says[:60]!r}"
            yield Problem(("implications", name, "says"), message, "say how they differ", severity="warning")


def _describe_verb(verb: str) -> str:
    return verb.replace("_", " ")
