"""Attacks by the thousand: every byte, event, pair of events, leaf. Each yields (what, whether found)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import rfc8785

from harness.ledger.audit import Evidence, audit
from harness.ledger.audit.evidence import EVENTS
from tests.attacks.corpus import amended_again
from tests.attacks.trails import InMemory, Trail, audited, offline, sorts

Tried = Iterator[tuple[str, bool]]
HARMLESS = ("note", "unchecked")


def promised(trail: Trail) -> list[str]:
    """The files that the ledger vouches for; for a pilot's only git's history does (test_attacks_git.py).

    Nor does it for weights of an attempt without a verdict, which may or may not have finished a cohort.
    """
    judged = {path.removesuffix("/env.json") for path in trail.files if path.endswith("/env.json")}
    vouched = [path for path in trail.files if "/weights/" not in path or path.split("/weights/")[0] in judged]
    return sorted(path for path in vouched if "/pilot-" not in path)


def bytes_flipped(trail: Trail, every: int = 1, start: int = 0) -> Tried:
    """One bit of one byte at a time, in every file; found if a finding names that file."""
    trail = trail.copy()
    files = InMemory(trail)
    steps = [step for step in offline(trail) if step.number != 7]
    unchanged = Evidence(files)
    place = 0
    for path in promised(trail):
        good = trail.files[path]
        for position in range(len(good)):
            place += 1
            if (place - start) % every:
                continue
            flipped = good[position] ^ (1 << position % 8)
            files.swap(path, good[:position] + bytes([flipped]) + good[position + 1 :])
            # Events are read again only where one was changed: that is most of an audit's time.
            evidence = Evidence(files) if path.startswith(EVENTS) else unchanged
            report = audit(evidence, steps)
            named = {f.where for f in report.findings if f.severity not in HARMLESS}
            yield f"{path} at {position}", f"verdicts/{path}" in named
        files.swap(path, good)


def events_deleted(trail: Trail, pairs: bool = True) -> Tried:
    """Each event, and each pair of events, is taken away, the rest left as it is. The head was kept."""
    digests = [digest for digest, _ in trail.events()]
    groups = [*((digest,) for digest in digests), *(combinations(digests, 2) if pairs else ())]
    for group in groups:
        spoiled = trail.copy()
        spoiled.known_head = trail.heads()[0]
        for digest in group:
            del spoiled.files[spoiled.path(digest)]
        yield f"without {group}", audited(spoiled).exit_code == 3


def events_spliced_out(trail: Trail, pairs: bool = True) -> Tried:
    """The same, and the ledger is rebuilt so that no parent is missing: found by what is left, or by the kept head."""
    digests = [digest for digest, _ in trail.events()]
    groups = [*((digest,) for digest in digests), *(combinations(digests, 2) if pairs else ())]
    for group in groups:
        spoiled = trail.copy()
        spoiled.known_head = trail.heads()[0]
        spoiled.rebuild(lambda digest, event, gone=group: None if digest in gone else event)
        yield f"spliced out {group}", audited(spoiled).exit_code == 3


def leaves_changed(trail: Trail, hypothesis: str = "second") -> Tried:
    """Every leaf of the registered form is changed, the form and its event are put back under their new digests, and
    everything after is rebuilt. No head was kept: the seeds alone give it away."""
    _, event = trail.find("registered", hypothesis)
    old = event["body"]["canonical"]
    form = json.loads(trail.kept(old))
    for path, changed in leaves(form):
        spoiled = trail.copy()
        new = spoiled.keep(rfc8785.dumps(changed))

        def edit(_digest: str, event: dict[str, Any], new: str = new) -> dict[str, Any]:
            return event | {"body": json.loads(json.dumps(event["body"]).replace(old, new))}

        spoiled.rebuild(edit)
        yield f"{hypothesis}.{path}", audited(spoiled).exit_code == 3


def leaves_amended(trail: Trail) -> Tried:
    """Every leaf of the form in force is changed by an amendment, after all runs, that calls itself a comment."""
    form = json.loads(trail.kept(trail.find("amended")[1]["body"]["canonical"]))
    for path, changed in leaves(form):
        spoiled = trail.copy()
        amended_again(spoiled, canonical=spoiled.keep(rfc8785.dumps(changed)), kind="comment", differences=[])
        yield f"amended{path}", "amendment-untold" in sorts(audited(spoiled))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, the whole with this leaf changed) for every leaf."""
    if isinstance(value, dict):
        for key in value:
            for where, child in leaves(value[key], f"{path}.{key}"):
                yield where, value | {key: child}
    elif isinstance(value, list):
        for index in range(len(value)):
            for where, child in leaves(value[index], f"{path}[{index}]"):
                yield where, [*value[:index], child, *value[index + 1 :]]
    elif isinstance(value, bool) or value is None:
        yield path, 1 if value is None else not value
    elif isinstance(value, int | float):
        yield path, value + 1
    else:
        yield path, value + "x"
