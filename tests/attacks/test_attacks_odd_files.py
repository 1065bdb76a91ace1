"""Pipes, devices, sockets and endless files where a verb would read: each is named at once, and none is waited for."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ledger import Ledger
from harness.ledger.bodies import SeededBody
from harness.system.reading import NotAFile, read_regular
from tests.e2e import commands
from tests.ssh import needs_ssh_keygen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="devices and limits as Linux has them")
SECONDS = 300
"""More than all verbs here take on a busy machine; before they were guarded, some never ended."""
SMALL, LARGE = 4 * 2**30, 12 * 2**30
"""Bytes that a verb may address: without PyTorch at work, and with it."""


def run_verbs(verbs: tuple[tuple[str, ...], ...], project: Path, memory: int) -> str:
    """Return what verbs say, one after another, each in a process of its own; none crashes or waits."""
    variables = {"NO_COLOR": "1", "COLUMNS": "300", "GIT_CEILING_DIRECTORIES": str(project.parent)}
    told = ""
    for verb in verbs:
        ran = commands.run(verb, project, os.environ | variables, SECONDS, memory=memory)
        told += f"<{verb[0]} ended with {ran.returncode}>\n{ran.stdout}{ran.stderr}"
        assert ran.returncode >= 0, told
    assert "Traceback" not in told and "internal error" not in told, told
    return told


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's whole path may have a hundred characters
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def make_endless(path: Path) -> None:
    path.touch()
    os.truncate(path, 40 * 2**30)  # a hole: it takes no room


KINDS: dict[str, Callable[[Path], None]] = {
    "a pipe": make_pipe,
    "a link to a device": make_device_link,
    "a socket": make_socket,
    "40 GiB": make_endless,
}


def find_places(project: Path) -> dict[str, Path]:
    """What is read in a trail and beside it: an event, an object, files of a run, the researcher's own."""
    trail = Ledger(project / "verdicts")
    (run,) = trail.index().starts("second")
    return {
        "event": trail.folder / f"{trail.heads()[0]}.json",
        "object": trail.object_path(run.body.raw),
        "template": trail.object_path(next(iter(run.body.pins.templates.values()))),
        "verdict.md": trail.root / run.folder / "verdict.md",
        "results.json": trail.root / run.folder / "results.json",
        "hypothesis": project / "hypotheses" / "second.yaml",
        "claims": project / "hypotheses" / "claims.yaml",
        "settings": project / "pyproject.toml",
    }


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("event", "a pipe"),
        ("event", "a link to a device"),
        ("object", "40 GiB"),
        ("template", "a pipe"),
        ("verdict.md", "a socket"),
        ("verdict.md", "40 GiB"),
        ("results.json", "a link to a device"),
        ("hypothesis", "a pipe"),
        ("claims", "a pipe"),
        ("settings", "40 GiB"),
    ],
)
def test_no_verb_waits_for_what_is_no_file(project: Path, kind: str, place: str) -> None:
    (project / "pyproject.toml").write_text("")
    run = Ledger(project / "verdicts").index().starts("first")[0].name
    path = find_places(project)[place]
    path.unlink()
    KINDS[kind](path)
    out = str(project.parent / "out.json")
    commands.load("matplotlib.backends.backend_pdf")  # which every paper loads for its figures
    verbs = (
        ("list",), ("list", "--family"), ("show", "second"), ("show", "second", "--history"), ("claims",), ("check",),
        ("reverdict", "second"), ("export", "second", "--as", "in-toto", "--out", out),
        ("paper", "second"), ("site", "site"), ("close", run, "--reason", "why"), ("audit",),
    )  # fmt: skip
    said = run_verbs(verbs, project, SMALL)
    assert path.name in said


FILE, NONCE = "hypotheses/drawn.yaml", "0123456789abcdef"
TRAINING_VERBS = (
    ("plan", FILE), ("power", FILE, "--sd-from", "drawn", "--format", "json"), ("register", FILE),
    ("seed", FILE, "--round", "answer"), ("amend", FILE, "--reason", "why"), ("anchor", "--sign", "witness"),
    ("audit", "--allowed-signers", "signers", "--roots", "roots"), ("new", "again", "--from", FILE),
    ("replicate", "drawn"), ("replicate", "drawn", "--fresh", NONCE), ("run", FILE, "--round", "answer"), ("doctor",),
)  # fmt: skip
TRAINING_PLACES = {
    "an event": ("verdicts/ledger/events", "a pipe"),
    "a record": ("verdicts/objects/sha256", "a link to a device"),
    "results": ("verdicts/drawn/*/results.json", "40 GiB"),
    "a hypothesis": ("hypotheses/drawn.yaml", "a pipe"),
    "a round": ("answer", "a pipe"),
    "allowed signers": ("signers", "a pipe"),
    "roots": ("roots", "a link to a device"),
}


@needs_ssh_keygen
@pytest.mark.parametrize("what", TRAINING_PLACES)
def test_no_verb_that_trains_or_draws_waits_for_what_is_no_file(drawn_project: Path, tmp_path: Path, what: str) -> None:
    project = Path(shutil.copytree(drawn_project, tmp_path / "project"))
    for name in ("signers", "roots"):
        (project / name).touch()
    place, kind = TRAINING_PLACES[what]
    trail = Ledger(project / "verdicts")
    (seeded,) = trail.index().entries(SeededBody)
    path = next(iter(project.glob(place)))
    if path.is_dir():
        path = trail.object_path(seeded.body.record) if what == "a record" else path / f"{seeded.digest}.json"
    path.unlink()
    KINDS[kind](path)
    said = run_verbs(TRAINING_VERBS, project, LARGE)
    assert path.name in said


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_its_kind(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "one")
    with pytest.raises(OSError, match=r"not a file|more than the") as refused:
        read_regular(tmp_path / "one", 100)
    assert isinstance(refused.value, NotAFile) == (kind != "40 GiB")


def test_a_link_is_followed_to_a_file_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 4, follow=True) == b"text"
    with pytest.raises(NotAFile, match="a link"):
        read_regular(tmp_path / "link", 4)
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(NotAFile, match="a device"):
        read_regular(tmp_path / "device", 4, follow=True)
