"""Random honest histories in two real git clones, as the real ledger writes them, then an attack of every kind.

Training is left out: a finished run gets the good trail's results, at its own seeds. Everything else is what harness
writes: registrations, amendments before, beside and after runs, draws from a beacon, pilots, aborted, failed,
unfinished, resumed and judged runs, and repetitions by a reader's nonce.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import rfc8785
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from harness.domain.normal_form import encode_normal_form
from harness.ledger import Ledger, list_amendments, list_attempts, name_run
from harness.ledger.amendments import list_last_amendments
from harness.ledger.attempt_records import AttemptState
from harness.ledger.audit import AuditReport, TrustedInputs
from harness.ledger.bodies import BODIES, SeededBody
from harness.ledger.event import Event
from harness.ledger.registration import find_registration
from harness.ledger.seeding import (
    derive_from_nonce,
    derive_from_round,
    derive_seeds,
    describe_round,
    find_seeded,
    read_beacon,
    read_registered,
)
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.siblings import list_siblings_now
from harness.records import Hypothesis
from tests.attacks.draws import witness
from tests.attacks.trails import Trail, audited, sha

CLONES = st.sampled_from(["left", "right"])
HONEST = {"note", "unchecked", "open"}
"""Kinds of findings that an honest history may have: an attempt that is still open is one."""
TRIED: Counter[str] = Counter()
"""Attacks that were tried, each of them found."""
KINDS = ("flip", "delete", "splice", "cut off", "artefact", "ours")
"""Kinds of attacks; the last one changes the clone itself."""
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip


class Histories(RuleBasedStateMachine):
    """What two people may do, each in a clone."""

    good: ClassVar[Trail]
    """Where bodies, texts and results are taken from."""
    key: ClassVar[Path]
    """The SSH key of a witness, from whom seeds are drawn."""
    beacon: ClassVar[dict[str, Any]]
    """The beacon of that witness, by its parameters."""

    @initialize()
    def clone(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="histories"))
        self.clones = {name: self.root / name for name in ("left", "right")}
        self.git(self.root, "init", "-q", "-b", "main", "left")
        for path, data in self.good.files.items():
            if path.startswith("objects/"):
                self.write("left", path, data)
        self.commit("left")
        self.git(self.root, "clone", "-q", "left", "right")
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.count = 0
        self.merges = 0

    # What an honest person does ------------------------------------------------------------------------------------

    @rule(clone=CLONES, drawn=st.booleans())
    def register(self, clone: str, drawn: bool) -> None:
        self.count += 1
        name = f"{clone}-{self.count}"
        body = self.good.find("registered", "second")[1]["body"]
        form = json.loads(self.good.kept(body["canonical"])) | {"id": name}
        form["setup"]["optimizer"]["lr"] = 1e-3 * self.count  # so that none is a near-duplicate of another
        if drawn:
            form["seeds"]["beacon"] = self.beacon
        new = {
            **({"beacon": self.beacon} if drawn else {}),
            "hypothesis": name,
            "raw": self.ledger(clone).store_object(self.good.kept(body["raw"]).replace(b"second", name.encode())),
            "canonical": self.ledger(clone).store_object(rfc8785.dumps(form)),
        }
        self.append(clone, "registered", body | new)

    @rule(clone=CLONES, which=st.integers(0, 9), kind=st.sampled_from(["comment", "surroundings", "meaning"]))
    def amend(self, clone: str, which: int, kind: str) -> None:
        if (found := self.one(clone, "registered", which)) is None:
            return
        trail, hypothesis = self.ledger(clone), found.body["hypothesis"]
        events = trail.events()
        full = {name_run(event.digest): event.digest for event in events}
        before = [e for e in events if e.type == "amended" and e.body["hypothesis"] == hypothesis]
        fixed = (before or [found])[-1]
        seen = {
            full[a.run]: AttemptState(status=a.status, outcome=a.outcome).model_dump()
            for a in list_attempts(trail, hypothesis)
        }
        differences = [] if kind == "comment" else [f"decisions.margin: {len(events)} → {len(events) + 1}"]
        body = {key: fixed.body[key] for key in ("raw", "canonical", "claims", "seeds", "pins", "data")}
        body |= {"beacon": fixed.body.get("beacon")}
        body |= {"hypothesis": hypothesis, "registration": found.digest, "amends": fixed.digest, "kind": kind}
        body |= {"differences": differences, "reason": "Because.", "attempts": seen}
        self.append(clone, "amended", body)

    @rule(clone=CLONES, which=st.integers(0, 9))
    def pilot(self, clone: str, which: int) -> None:
        if (found := self.one(clone, "registered", which)) is not None:
            self.append(clone, "pilot", {"hypothesis": found.body["hypothesis"], "settings": {"epochs": 1}})

    @rule(clone=CLONES, which=st.integers(0, 9))
    def draw(self, clone: str, which: int) -> None:
        """Draw seeds some hours after the registration. Both clones may: the witness makes one statement for it."""
        found = self.one(clone, "registered", which)
        trail = self.ledger(clone)
        if found is None or "beacon" not in found.body or find_seeded(trail.index(), found.digest) is not None:
            return
        amended = list_last_amendments(trail, find_registration(trail, found.body["hypothesis"]))
        if len(amended) > 1:
            return  # harness asks which of them counts
        made = read_registered(found.digest, found.claimed_time)
        round_time = made.time + timedelta(hours=3, minutes=30)
        self.clock = max(self.clock, round_time)  # until then nobody knows it
        record = witness(self.key, found.digest, round_time, found.digest)
        body = {
            "hypothesis": found.body["hypothesis"],
            "registration": found.digest,
            "amendment": amended[0].digest if amended else None,
            "form": trail.store_object(
                encode_normal_form(Hypothesis.model_validate_json(trail.read_object(found.body["canonical"])))
            ),
            "record": trail.store_object(record),
            **describe_round(read_beacon(self.beacon).verify(record, made)),
        }
        self.append(clone, "seeded", body)

    @rule(clone=CLONES, which=st.integers(0, 9))
    def start(self, clone: str, which: int) -> None:
        if (found := self.one(clone, "registered", which)) is None:
            return
        hypothesis = found.body["hypothesis"]
        self.draw(clone, which)  # as a run does
        seeded = find_seeded(self.ledger(clone).index(), found.digest)
        if "beacon" in found.body and seeded is None:
            return
        events = self.ledger(clone).events()
        amended = [e for e in events if e.type == "amended" and e.body["hypothesis"] == hypothesis]
        fixed = (amended or [found])[-1].body
        late = [a for a in list_amendments(self.ledger(clone).index(), hypothesis) if a.deviates]
        body = self.good.find("run_started", "second")[1]["body"] | {
            "hypothesis": hypothesis,
            "registration": found.digest,
            "amendment": amended[-1].digest if amended else None,
            "seeds": derive_seeds(found.digest, fixed["seeds"])
            if seeded is None
            else derive_from_round(seeded.body.form, seeded.body.value, fixed["seeds"]),
            **({} if seeded is None else {"seeded": seeded.digest}),
            "deviations": [line for amendment in late for line in amendment.lines],
        }
        self.append(clone, "run_started", body | {key: fixed[key] for key in ("raw", "canonical", "pins", "data")})

    @rule(clone=CLONES, which=st.integers(0, 9), end=st.sampled_from(["run_failed", "run_aborted"]))
    def give_up(self, clone: str, which: int, end: str) -> None:
        if (run := self.own_open_run(clone, which)) is not None:
            self.append(clone, end, {"run": run.digest, "reason": "Because."})

    @rule(clone=CLONES, which=st.integers(0, 9), epoch=st.integers(0, 3))
    def resume(self, clone: str, which: int, epoch: int) -> None:
        """Go on with an attempt that was stopped, perhaps after its values were read; start one if none is."""
        if self.own_open_run(clone, which) is None:
            self.start(clone, which)
        if (run := self.own_open_run(clone, which)) is not None:
            progress = {"replicas": 6, "trained": 0, "under_way": 6, "epoch": epoch, "readable": epoch > 0}
            self.append(clone, "run_resumed", {"run": run.digest, "progress": progress})

    @rule(clone=CLONES, which=st.integers(0, 9), judged=st.booleans())
    def finish(self, clone: str, which: int, judged: bool) -> None:
        if (run := self.own_open_run(clone, which)) is None:
            return
        trail, hypothesis = self.ledger(clone), run.body["hypothesis"]
        old, event = self.good.find("run_started", "second")
        folder = self.good.folder(old)
        results = json.loads(self.good.files[f"{folder}/results.json"])
        results |= {"hypothesis": hypothesis, "registration": run.body["registration"], "seeds": run.body["seeds"]}
        for replica in results["replicas"]:
            replica["seed"] = run.body["seeds"][replica["seed_index"]]
        page = json.loads(self.good.files[f"{folder}/env.json"])
        (registered,) = [e for e in trail.events() if e.digest == run.body["registration"]]
        drawn = trail.index().body(run.body.get("seeded", ""))
        early = [a for a in list_amendments(trail.index(), hypothesis) if not a.deviates]
        page |= {
            "run": name_run(run.digest),
            "started": run.claimed_time,
            "finished": run.claimed_time,
            "siblings": [one.model_dump(mode="json") for one in list_siblings_now(trail, hypothesis)],
            "registration": registered.digest,
            "registered_time": registered.claimed_time,
            "hand_picked_seeds": not isinstance(registered.body["seeds"], int),
            "deviations": run.body["deviations"],
            "amendments": [line for amendment in early for line in amendment.lines],
            "weights": {},
            "resumed": len(trail.index().resumptions(run.digest)),
        }
        if isinstance(drawn, SeededBody):
            page["drawn"] = {"event": run.body["seeded"], **{k: getattr(drawn, k) for k in ("time", "value", "record")}}
        listed = [a.model_dump() for a in list_attempts(trail, hypothesis)]
        mine = {"status": "finished", "outcome": "better"}
        page["attempts"] = [a | (mine if a["run"] == page["run"] else {}) for a in listed]
        files = {"verdict.md": b"# Second\n", "verdict.json": b"{}\n"}
        files |= {"results.json": json.dumps(results).encode(), "env.json": json.dumps(page).encode()}
        for name, data in files.items():
            self.write(clone, f"{hypothesis}/{name_run(run.digest)}/{name}", data)
        digests = {name: sha(data) for name, data in files.items()}
        self.append(clone, "run_finished", {"run": run.digest, "results": digests["results.json"]})
        if judged:
            self.append(clone, "verdict", {"run": run.digest, "outcome": "better", "files": digests})
        assert event

    @rule(clone=CLONES, which=st.integers(0, 9), nonce=st.text("0123456789abcdef", min_size=16, max_size=16))
    def repeat(self, clone: str, which: int, nonce: str) -> None:
        """Repeat a judged run, after one is judged if there is none; results are the good trail's, at other seeds."""
        if self.one(clone, "verdict", which) is None:
            self.start(clone, which)
            self.finish(clone, which, True)
        if (verdict := self.one(clone, "verdict", which)) is None:
            return
        trail = self.ledger(clone)
        run = trail.index().start(verdict.body["run"])
        hypothesis = Hypothesis.model_validate_json(trail.read_object(run.body.canonical))
        form = sha(encode_normal_form(hypothesis))
        results = json.loads((trail.root / run.folder / "results.json").read_bytes())
        results["seeds"] = derive_from_nonce(form, nonce, len(run.body.seeds))
        for replica in results["replicas"]:
            replica["seed"] = results["seeds"][replica["seed_index"]]
        body = {"run": run.digest, "nonce": nonce, "form": form, "outcome": "better", "combined": {}}
        body |= {key: run.event.body[key] for key in ("plan", "environment", "device", "arithmetic")}
        self.append(clone, "repeated", body | {"results": trail.store_object(json.dumps(results).encode())})

    @precondition(lambda self: self.merges < 3)
    @rule(clone=CLONES, how=st.sampled_from(["--no-rebase", "--rebase"]))
    def pull(self, clone: str, how: str) -> None:
        other = "left" if clone == "right" else "right"
        self.commit(clone)
        self.commit(other)
        self.git(self.clones[clone], "pull", "-q", how, str(self.clones[other]), "main")
        self.merges += 1

    # And an attack at the end --------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            for clone in self.clones:
                self.commit(clone)
                self.assert_honest(clone)
            self.attacked()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def assert_honest(self, clone: str) -> None:
        report = self.audit(clone)
        events = self.ledger(clone).events()
        empty = [finding for finding in report.findings if finding.code == "no-events"]
        assert bool(empty) == (not events)
        bad = [finding for finding in report.findings if finding.severity not in HONEST and finding not in empty]
        assert not bad, bad
        open_runs = {e.digest for e in events if e.type == "run_started"}
        open_runs -= {e.body["run"] for e in events if e.type in ("run_finished", "run_failed", "run_aborted")}
        assert sum(finding.code == "run-open" for finding in report.findings) == len(open_runs)
        assert (report.exit_code == 5) == (
            bool(empty) or any(finding.severity == "open" for finding in report.findings)
        )
        resumed = {e.body["run"] for e in events if e.type == "run_resumed"}
        assert sum(finding.code == "resumed" for finding in report.findings) == len(resumed)
        started = sum(sum(s.attempts.values()) - s.attempts["pilot"] for s in report.hypotheses)
        assert started == sum(e.type == "run_started" for e in events)

    def attacked(self) -> None:
        """One attack of every kind, on what the history itself says, so that a failure is shrunk with it."""
        honest = Trail.read(self.clones["left"] / "verdicts")
        events = [digest for digest, _ in honest.events()]
        if not events:
            return
        draw = int(events[-1], 16)
        honest.known_head = honest.heads()[draw % len(honest.heads())]
        for attack in KINDS:  # not one that is drawn: which events have which digests differs from run to run
            self.attack(attack, honest, events, draw)

    def attack(self, attack: str, honest: Trail, events: list[str], draw: int) -> None:
        """Carry out an attack on a victim that is drawn, and count it if there was something to be found."""
        victim = events[draw // 11 % len(events)]
        spoiled = honest.copy()
        if attack in ("flip", "artefact"):
            fixed = [p for p in sorted(spoiled.files) if p.startswith("ledger/events/")]
            judged = {e["body"]["run"]: e for _, e in honest.events() if e["type"] == "verdict"}
            of_runs = [f"{honest.folder(run)}/{name}" for run, e in judged.items() for name in e["body"]["files"]]
            paths = of_runs if attack == "artefact" and of_runs else fixed
            path = paths[draw // 13 % len(paths)]
            data = bytearray(spoiled.files[path])
            data[draw // 17 % len(data)] ^= 1 << draw % 8
            spoiled.files[path] = bytes(data)
            found = audited(spoiled)
            named = {f.where for f in found.findings if f.code in ("event-bytes", "artefact-bytes")}
            assert named == {f"verdicts/{path}"}, (attack, path)
        elif attack == "delete":
            del spoiled.files[spoiled.path(victim)]
            found = audited(spoiled)
            wanted = {"parent-missing", "head-unknown"}
            head = victim in honest.heads()
            assert ({f.code for f in found.findings} & wanted) or (head and victim != honest.known_head), attack
            if head and victim != honest.known_head:
                return
        elif attack in ("splice", "cut off"):
            gone = {victim} if attack == "splice" else set(events[draw // 11 % len(events) :])
            spoiled.rebuild(lambda digest, event: None if digest in gone else event)
            found = audited(spoiled)
            if spoiled.path(honest.known_head) in spoiled.files:
                return  # nothing before the head that was kept was touched
            assert "head-unknown" in {f.code for f in found.findings}, attack
        else:
            self.git(self.clones["right"], "pull", "-q", "--no-rebase", "-s", "ours", str(self.clones["left"]), "main")
            lost = set(events) - {event.digest for event in self.ledger("right").events()}
            found = self.audit("right")
            removed = {Path(f.where).stem for f in found.findings if f.code == "removed" and "/events/" in f.where}
            assert removed == lost, attack
            if not lost:
                return
        assert found.exit_code == 3, attack
        TRIED[attack] += 1

    # Helpers ---------------------------------------------------------------------------------------------------------

    def ledger(self, clone: str) -> Ledger:
        return Ledger(self.clones[clone] / "verdicts")

    def audit(self, clone: str) -> AuditReport:
        return audit_trail(self.clones[clone] / "verdicts", Path("none"), AuditRequest(TrustedInputs()))

    def append(self, clone: str, kind: str, body: dict[str, Any]) -> None:
        """Append an event, an hour after the one before by both clones' clock."""
        self.clock += timedelta(hours=1)
        event = Event(
            type=kind,
            parents=self.ledger(clone).heads(),
            claimed_time=f"{self.clock:%Y-%m-%dT%H:%M:%SZ}",
            actor=clone,
            body=BODIES[kind].model_validate(body).model_dump(mode="json"),
        )
        self.write(clone, f"ledger/events/{event.digest}.json", event.to_bytes())

    def write(self, clone: str, path: str, data: bytes) -> None:
        file = self.clones[clone] / "verdicts" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def one(self, clone: str, kind: str, which: int) -> Any:
        found = [event for event in self.ledger(clone).events() if event.type == kind]
        return found[which % len(found)] if found else None

    def own_open_run(self, clone: str, which: int) -> Any:
        """A run that this clone started: two clones that end one attempt differently are no honest history."""
        events = self.ledger(clone).events()
        ended = {event.body.get("run") for event in events if event.type != "run_resumed"}
        found = [e for e in events if e.type == "run_started" and e.digest not in ended and e.actor == clone]
        return found[which % len(found)] if found else None

    def commit(self, clone: str) -> None:
        self.git(self.clones[clone], "add", "-A", ".")
        self.git(self.clones[clone], "commit", "-q", "--allow-empty", "-m", "more")

    def git(self, folder: Path, *arguments: str) -> None:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | GIT)
        assert done.returncode == 0, done.stderr
