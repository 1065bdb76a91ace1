"""Projects whose seeds are drawn from a beacon: a witness with an SSH key made here, or a recorded round of drand."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from harness.ledger import Ledger
from harness.ledger.event import Event
from harness.pipeline.draw import draw_seeds
from harness.pipeline.project import Settings
from harness.pipeline.register import register_hypothesis
from harness.pipeline.run import run_hypothesis
from harness.pipeline.session import Session
from harness.records import Seeds
from tests.attacks.good import CLAIMS, FILE
from tests.attacks.trails import Trail

CORPUS = Path(__file__).parents[1] / "corpus" / "beacons" / "drand.json"
RECORDED: dict[str, Any] = json.loads(CORPUS.read_text(encoding="utf-8"))["rounds"]["quicknet-657413"]["answer"]
RECORDED_TIME = datetime.fromtimestamp(1692803367 + 3 * (RECORDED["round"] - 1), UTC)
"""When the recorded round of quicknet was due."""
REGISTERED_TIME = RECORDED_TIME - timedelta(seconds=61)
"""A registration at this time has that round, after the default delay of 60 s."""
DRAND = "name: drand"


def make_key(folder: Path, name: str = "witness") -> tuple[Path, str]:
    """Make an SSH key; return its file, and the parameters of a beacon whose witness holds it."""
    key = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    public = " ".join(key.with_suffix(".pub").read_text(encoding="ascii").split()[:2])
    return key, f'name: witness, delay: 1, signer: "ada@example.org {public}"'


def make_beacon(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Make an SSH key; return its file, and the beacon whose witness holds it, by its parameters as events have it."""
    key, told = make_key(folder)
    return key, Seeds.model_validate(yaml.safe_load(f"{{count: 3, beacon: {{{told}}}}}")).model_dump(mode="json")[
        "beacon"
    ]


def witness(key: Path, registration: str, time: datetime, nonce: str = "7a" * 32) -> bytes:
    """Return a witness's signed statement."""
    text = f"harness witness 1\nregistration {registration}\ntime {time:%Y-%m-%dT%H:%M:%SZ}\nnonce {nonce}\n".encode()
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "harness-witness", "-f", str(key)]
    return text + subprocess.run(command, input=text, capture_output=True, check=True).stdout


def write_file(root: Path, beacon: str | None, edit: Callable[[str], str] = lambda text: text) -> Path:
    """Write a hypothesis with three seeds from a beacon, by its parameters in YAML; None: without one."""
    (root / "hypotheses").mkdir(parents=True, exist_ok=True)
    (root / "hypotheses" / "claims.yaml").write_text(CLAIMS)
    text = FILE.format(
        id="drawn", title="Drawn", lr="1.0e-2", width=4, epochs=1, batch=256, cut="90", moves="supports: [it-helps]"
    )
    seeds = "{count: 3}" if beacon is None else f"{{count: 3, beacon: {{{beacon}}}}}"
    file = root / "hypotheses" / "drawn.yaml"
    file.write_text(edit(text.replace("{count: 3}", seeds)))
    return file


def open_session(root: Path, **more: Any) -> Session:
    return Session.open(
        root / "hypotheses", Settings(device="cpu", verdicts=root / "verdicts", data=root / "data", **more)
    )


def register_at(root: Path, time: datetime) -> str:
    """Register the file, as if the clock had shown this time; return the event's digest."""
    event = register_hypothesis(root / "hypotheses" / "drawn.yaml", open_session(root)).event
    trail = Ledger(root / "verdicts")
    told = event.model_dump(mode="json") | {"claimed_time": f"{time:%Y-%m-%dT%H:%M:%SZ}"}
    data = Event.model_validate(told).to_bytes()
    digest = hashlib.sha256(data).hexdigest()
    (trail.folder / f"{event.digest}.json").unlink()
    (trail.folder / f"{digest}.json").write_bytes(data)
    return digest


def hand_over(root: Path, answer: bytes) -> Path:
    """Write an answer of a beacon into a file."""
    (root / "answer").write_bytes(answer)
    return root / "answer"


def draw(root: Path, answer: bytes) -> None:
    """Draw the seeds from an answer."""
    draw_seeds(root / "hypotheses" / "drawn.yaml", open_session(root, round_file=hand_over(root, answer)))


def build(root: Path) -> None:
    """Make a project whose witness signed a statement a minute after the registration; run it."""
    key, beacon = make_key(root)
    file = write_file(root, beacon)
    now = datetime.now(UTC)
    registration = register_at(root, now - timedelta(minutes=5))
    draw(root, witness(key, registration, now - timedelta(minutes=4)))
    run_hypothesis(file, open_session(root))


def registration_of(trail: Trail) -> tuple[str, dict[str, Any]]:
    return trail.find("registered", "drawn")
