"""A part of the sweeps that ``count.py`` does in full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pipeline.audit import AuditRequest, audit_trail
from tests.attacks.sweeps import bytes_flipped, events_deleted, events_spliced_out, leaves_amended, leaves_changed
from tests.attacks.test_attacks_corpus import assert_sound
from tests.attacks.trails import Trail, audited


def all_found(tried: Iterator[tuple[str, bool]], at_least: int) -> None:
    results = list(tried)
    missed = [what for what, found in results if not found]
    print(f"{len(results)} attacks tried, {len(results) - len(missed)} found")
    assert not missed and len(results) >= at_least


def test_flipped_bytes_are_found_and_their_file_named(good_trail: Trail) -> None:
    all_found(bytes_flipped(good_trail, every=601, start=5), 240)


def test_deleted_events_are_found(good_trail: Trail) -> None:
    all_found(events_deleted(good_trail, pairs=False), 14)


def test_events_that_were_spliced_out_are_found_by_the_kept_head(good_trail: Trail) -> None:
    all_found(events_spliced_out(good_trail, pairs=False), 14)


def test_every_changed_leaf_of_the_form_is_found(good_trail: Trail) -> None:
    all_found(leaves_changed(good_trail), 90)


def test_every_leaf_that_an_amendment_changes_unsaid_is_found(good_trail: Trail) -> None:
    all_found(leaves_amended(good_trail), 90)


def test_every_changed_leaf_of_the_file_is_seen(project: Path) -> None:
    """In the file of today, which is no part of the trail: a value that the form still takes is compared."""
    file = project / "hypotheses" / "second.yaml"
    text = file.read_text()
    changes = {
        "1.0e-2": "1.0e-3", "epochs: 3": "epochs: 4", "128": "64", "width: 5": "width: 8",
        "90": "89", "count: 3": "count: 4", "bp - frozen": "frozen - bp", "outcome: better": "outcome: worse",
        "It hurts.": "It hurt.", "supports: [it-helps]": "walks_back: [it-helps]", "blocks: 1": "blocks: 2",
        "title: Second": "title: Third", "probe_samples: 128": "probe_samples: 129", "label: BP": "label: Bp",
        "level: none": "level: pilot",
    }  # fmt: skip
    for old, new in changes.items():
        assert old in text
        file.write_text(text.replace(old, new))
        report = audit_trail(project / "verdicts", project / "hypotheses", AuditRequest())
        found = [f for f in report.findings if f.code in ("file-changed", "file-not-compared")]
        assert found, (old, new)


@pytest.mark.parametrize("concurrent", [False, True])
def test_an_amendment_at_every_place_of_the_dag_is_classified(good_trail: Trail, concurrent: bool) -> None:
    """Appended after every event as a branch of its own, and joined with the rest or not."""
    _, event = good_trail.find("amended")
    events = good_trail.events()
    runs = [digest for digest, e in events if e["type"] == "run_started" and e["body"]["hypothesis"] == "first"]
    for place, (parent, _) in enumerate(events):
        if place < 1:
            continue  # nothing was registered yet
        trail = good_trail.copy()
        earlier = {digest for digest, _ in events[: place + 1]}
        seen = {
            d: {"status": "open", "outcome": None}
            for d, e in events
            if d in earlier and e["type"] in ("run_started", "pilot") and e["body"]["hypothesis"] == "first"
        }
        amends = event["parents"][0]
        body = event["body"] | {"attempts": seen, "reason": "Planted.", "amends": amends}
        trail.append("amended", body, [parent])
        if not concurrent:
            trail.append("pilot", {"hypothesis": "first", "settings": {}})
        report = audited(trail)
        assert_sound(report)
        (told,) = [f.what for f in report.findings if f.code == "amended" and "Planted." in f.what]
        after = [run for run in runs if run in earlier]
        assert ("after run" in told) == bool(after), (place, told)
        # The trail is a chain, so that a branch off it is beside every run that comes later.
        assert after or "not provably before run" in told, (place, told)
        assert report.exit_code in (0, 3)
