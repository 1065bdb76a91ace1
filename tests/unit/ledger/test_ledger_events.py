from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785

from harness.errors import HarnessError, Tampered
from harness.ledger import Ledger


def pilot(number: int = 0) -> dict:
    return {"hypothesis": "small", "settings": {"epochs": number}}


def test_an_empty_folder_is_an_empty_ledger(ledger):
    assert ledger.events() == ()
    assert ledger.heads() == ()
    assert not ledger.root.exists()


def test_an_event_is_a_read_only_file_of_canonical_bytes_named_by_its_digest(ledger):
    event = ledger.append("pilot", pilot(), actor="Ada")
    (path,) = ledger.folder.iterdir()
    data = path.read_bytes()
    assert path.name == hashlib.sha256(data).hexdigest() + ".json" == event.digest + ".json"
    assert rfc8785.dumps(json.loads(data)) == data
    assert path.stat().st_mode & 0o222 == 0
    assert path.stat().st_nlink == 1
    assert json.loads(data) == {
        "v": 1,
        "type": "pilot",
        "parents": [],
        "claimed_time": event.claimed_time,
        "actor": "Ada",
        "body": pilot(),
    }


def test_events_form_a_chain_that_is_read_back_as_written(ledger):
    written = tuple(ledger.append("pilot", pilot(number)) for number in range(5))
    assert ledger.events() == written
    assert [event.parents for event in written[1:]] == [(event.digest,) for event in written[:-1]]
    assert ledger.heads() == (written[-1].digest,)


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("surprise", {}),
        ("pilot", {"hypothesis": "small"}),
        ("pilot", {"hypothesis": "small", "settings": {}, "more": 1}),
        ("pilot", {"hypothesis": "../small", "settings": {}}),
        ("pilot", {"hypothesis": "small", "settings": {"x": float("nan")}}),
        ("pilot", {"hypothesis": "small", "settings": {"x": float("inf")}}),
        ("pilot", {"hypothesis": "small", "settings": {"x": 2**53}}),
        ("run_finished", {"run": "0" * 12, "results": "0" * 64}),
        ("verdict", {"run": "0" * 64, "outcome": "yes", "files": {"../escape": "0" * 64}}),
        ("verdict", {"run": "0" * 64, "outcome": "yes", "files": {"a/../../escape": "0" * 64}}),
    ],
)
def test_what_is_not_of_its_types_form_is_not_written(ledger, type_, body):
    with pytest.raises(ValueError):
        ledger.append(type_, body)
    assert ledger.events() == ()


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 1e20, 2.0**53, 1e300, 5e-324, -0.0, 0.1])
def test_every_number_that_can_be_written_can_be_read(ledger, number):
    event = ledger.append("pilot", {"hypothesis": "small", "settings": {"x": number}})
    (read,) = ledger.events()
    assert read.digest == event.digest
    assert read.body["settings"]["x"] == number


def test_every_flipped_bit_is_found_and_its_file_named(ledger):
    ledger.append("pilot", pilot())
    event = ledger.append("pilot", pilot(1))
    path = ledger.folder / f"{event.digest}.json"
    good = path.read_bytes()
    path.chmod(0o644)
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(Tampered) as caught:
            ledger.events()
        assert caught.value.where == str(path)
        assert caught.value.expected == event.digest != caught.value.got
        assert f"expected {event.digest}, got {caught.value.got}" in str(caught.value)
    path.write_bytes(good)
    assert len(ledger.events()) == 2


def test_a_tampered_ledger_takes_no_new_event(ledger):
    event = ledger.append("pilot", pilot())
    path = ledger.folder / f"{event.digest}.json"
    path.chmod(0o644)
    path.write_bytes(b"{}")
    with pytest.raises(Tampered):
        ledger.append("pilot", pilot(1))
    assert [p.name for p in ledger.folder.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["0" * 64 + ".json", "renamed.json", "A" * 64 + ".json", "0" * 64 + ".txt"])
def test_a_renamed_event_is_found(ledger, name):
    event = ledger.append("pilot", pilot())
    (ledger.folder / f"{event.digest}.json").rename(ledger.folder / name)
    with pytest.raises(Tampered) as caught:
        ledger.events()
    assert caught.value.where == str(ledger.folder / name)
    assert caught.value.exit_code == 3


def test_a_missing_parent_is_named_with_the_event_that_follows_it(ledger):
    events = [ledger.append("pilot", pilot(number)) for number in range(3)]
    gone = ledger.folder / f"{events[1].digest}.json"
    gone.unlink()
    for read in (ledger.events, ledger.heads, lambda: ledger.append("pilot", pilot(3))):
        with pytest.raises(Tampered) as caught:
            read()
        assert caught.value.where == str(gone)
        assert events[2].digest in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"v":1}',
        b"[" * 100_000,
        b'{"v":' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b'{"actor":"A","body":{},"claimed_time":"yesterday","parents":[],"type":"pilot","v":1}',
        b'{"actor":"A","body":{"x":NaN},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"later","v":1}',
        b'{"actor":"A","body":{},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"later","v":1}\n',
        b'{"v":1,"actor":"A","body":{},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"later"}',
        b'{"actor":"A","actor":"A","body":{},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"later","v":1}',
        b'{"actor":"A","body":{},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"later","v":1.0}',
        b'{"actor":"A","body":{"x":9007199254740993},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"l","v":1}',
        b'{"actor":"A","body":{},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"pilot","v":1}',
    ],
)
def test_a_file_with_the_right_name_and_the_wrong_form_is_tampered(ledger, data):
    ledger.folder.mkdir(parents=True)
    path = ledger.folder / f"{hashlib.sha256(data).hexdigest()}.json"
    path.write_bytes(data)
    with pytest.raises(Tampered) as caught:
        ledger.events()
    assert caught.value.where == str(path)


def test_types_of_a_later_version_are_kept_and_a_later_form_is_refused(ledger, plant):
    plant(ledger, [], type="later", body={"anything": 1})
    assert ledger.append("pilot", pilot()).parents == (ledger.events()[0].digest,)
    plant(ledger, [], v=2)
    with pytest.raises(HarnessError, match="form 2") as caught:
        ledger.events()
    assert not isinstance(caught.value, Tampered)


def test_parents_are_sorted_each_once(ledger):
    first = ledger.append("pilot", pilot()).digest
    event = ledger.append("pilot", pilot(1))
    for parents in ((event.digest, event.digest), tuple(sorted((first, event.digest), reverse=True))):
        data = rfc8785.dumps({**event.model_dump(mode="json"), "parents": parents})
        path = ledger.folder / f"{hashlib.sha256(data).hexdigest()}.json"
        path.write_bytes(data)
        with pytest.raises(Tampered, match="sorted"):
            ledger.events()
        path.unlink()


def test_forks_are_legal_and_the_next_event_joins_them(ledger, plant):
    root = ledger.append("pilot", pilot()).digest
    left = plant(ledger, [root], body=pilot(1))
    right = plant(ledger, [root], body=pilot(2))
    assert ledger.heads() == tuple(sorted((left, right)))
    joined = ledger.append("pilot", pilot(3))
    assert joined.parents == tuple(sorted((left, right)))
    assert ledger.heads() == (joined.digest,)
    assert [event.digest for event in ledger.events()] == [root, *sorted((left, right)), joined.digest]


def test_the_claimed_time_orders_only_what_ancestry_leaves_open(ledger, plant):
    late_root = plant(ledger, [], time="2030-01-01T00:00:00Z")
    early_child = plant(ledger, [late_root], time="2020-01-01T00:00:00Z")
    other_root = plant(ledger, [], time="2025-01-01T00:00:00Z")
    assert [event.digest for event in ledger.events()] == [other_root, late_root, early_child]


def test_merging_never_changes_the_order_of_what_was_there(ledger, plant):
    draw = random.Random(0)
    digests: list[str] = []
    before: list[str] = []
    for number in range(40):
        parents = draw.sample(digests, min(len(digests), draw.randrange(3)))
        digests.append(plant(ledger, parents, time=f"2026-01-{draw.randrange(1, 29):02}T00:00:00Z", body=pilot(number)))
        events = ledger.events()
        now = [event.digest for event in events]
        place = {digest: index for index, digest in enumerate(now)}
        assert all(place[parent] < place[event.digest] for event in events for parent in event.parents)
        assert [digest for digest in now if digest in before] == before
        before = now


def test_temporary_files_are_no_events(ledger):
    ledger.append("pilot", pilot())
    (ledger.folder / f".{'0' * 64}.json.abc.tmp").write_bytes(b"half an ev")
    assert len(ledger.events()) == 1


def test_objects_are_kept_verbatim_once_and_checked(ledger):
    data = b"id: x\r\n\xff"
    digest = ledger.store_object(data)
    assert digest == hashlib.sha256(data).hexdigest() == ledger.store_object(data)
    path = ledger.root / "objects" / "sha256" / digest
    assert path.read_bytes() == ledger.read_object(digest) == data
    assert [p.name for p in path.parent.iterdir()] == [digest]
    assert path.stat().st_mode & 0o222 == 0
    path.chmod(0o644)
    path.write_bytes(b"id: y\r\n\xff")
    for touch in (lambda: ledger.read_object(digest), lambda: ledger.store_object(data)):
        with pytest.raises(Tampered) as caught:
            touch()
        assert caught.value.expected == digest
    path.unlink()
    with pytest.raises(Tampered, match="missing"):
        ledger.read_object(digest)


def test_an_objects_name_is_never_a_path(ledger):
    with pytest.raises(ValueError):
        ledger.read_object("../../secret")


def test_the_actor_is_the_user_name_of_the_repository_and_never_an_address(repository, git, ledger):
    inside = Ledger(repository / "verdicts")
    assert inside.append("pilot", pilot()).actor == "Ada Example"
    git(repository, "config", "user.name", "ada@example.org")
    fallback = inside.append("pilot", pilot(1)).actor
    assert fallback
    assert "@" not in fallback
    assert ledger.append("pilot", pilot()).actor == fallback  # outside a repository: the same person on this system


def test_the_ledger_is_imported_without_torch_and_scipy():
    code = "import harness.ledger, sys; print([m for m in ('torch', 'scipy', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"
