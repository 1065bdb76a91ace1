"""Time of judging: a stored run of many seeds, judged again and under other criteria; and of planning one.

    python benchmarks/judge.py --seeds 50

The run is made up for the purpose, in a temporary trail: its hypothesis and the shape of its results are those of a
stored run in this repository, its values are drawn around that run's. Nothing is trained, and nothing of it is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import inference, ledger, spec, verdict
from harness.ledger.bodies import RunFinishedBody, RunStartedBody, VerdictBody
from harness.pipeline.judge import render_verdict
from harness.pipeline.run_files import read_run
from harness.records import Measurements, Provenance, Registered

REPOSITORY = Path(__file__).parents[1]
FILE = REPOSITORY / "hypotheses" / "bp_penalty_control.yaml"
POWER = (str(REPOSITORY / "hypotheses" / "mode2_direction.yaml"), "--sd", "1.5")
IMPORTS = "from harness.ledger import Ledger; from harness.pipeline.reverdict import judge_again"
LIBRARIES = "import jinja2.sandbox, numpy, pydantic, typer; pydantic.BaseModel"
FIGURE = "import matplotlib.backends.backend_svg, matplotlib.figure"
# A template that is not the packaged one is not kept compiled.
LOADED = (
    "import jinja2.sandbox",
    "page._environment((('page', Path('templates/verdict.md.j2').read_text()),)).get_template('page')",
)
STEPS = (
    "jinja2, which judging loads",
    "compiling a template, which judging by the packaged one does not do again",
    "judging alone, with reading and comparing, the first time in a process",
    "the same again, with nothing left to load",
)
# As installed: Python keeps what it compiled, whatever this shell says.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        verdicts = Path(folder) / "verdicts"
        run, size = store(verdicts, options.seeds)
        print(f"{options.seeds} seeds, results.json {size / 2**20:.1f} MiB, median of {options.repeats}")
        print("| what | seconds | of a processor |\n|---|---|---|")
        base = [sys.executable, "-m", "harness.cli"]
        for name, command in {
            "`harness --help`": [*base, "--help"],
            "start of Python and what judging imports": [sys.executable, "-c", IMPORTS],
            "NumPy, pydantic, jinja2 and typer alone": [sys.executable, "-c", LIBRARIES],
            "`harness reverdict RUN`, from start to end": [*base, "reverdict", run, "--verdicts", str(verdicts)],
            "`harness reverdict RUN --figures`": [*base, "reverdict", run, "--verdicts", str(verdicts), "--figures"],
            "`harness reverdict RUN --criterion all`": [
                *base, "reverdict", run, "--verdicts", str(verdicts), "--criterion", "all",
            ],
            "`harness power FILE`": [*base, "power", *POWER],
            "`harness power FILE --out FIGURE.svg`": [*base, "power", *POWER, "--out", f"{folder}/figure.svg"],
            "matplotlib alone": [sys.executable, "-c", FIGURE],
        }.items():  # fmt: skip
            wall, own = timed(command, options.repeats)
            print(f"| {name} | {wall:.2f} | {own:.2f} |", flush=True)
        judging = ("judge_again(sys.argv[1], Ledger(Path(sys.argv[2])))",) * 2
        # In alternation, because the machine's speed changes.
        times = [inside(LOADED) + inside(judging, run, str(verdicts)) for _ in range(options.repeats)]
        for name, column in zip(STEPS, zip(*times, strict=True), strict=True):
            print(f"| {name} | {statistics.median(column):.2f} | |")


def inside(steps: Sequence[str], *arguments: str) -> list[float]:
    """Return the seconds of successive steps in a new process that has imported what judging imports."""
    lines = [f"import gc, sys, time; from pathlib import Path; {IMPORTS}"]
    lines += ["from harness.verdict import page", "gc.disable()"]  # without garbage collection, as in judging
    for step in steps:
        lines += ["begun = time.perf_counter()", step, "print(time.perf_counter() - begun)"]
    command = [sys.executable, "-c", "\n".join(lines), *arguments]
    said = subprocess.run(command, env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [float(line) for line in said.stdout.split()]


def timed(command: list[str], repeats: int) -> tuple[float, float]:
    """Return median wall-clock and processor seconds; the latter mean more on a busy machine."""
    subprocess.run(command, env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, check=True)  # compiles
    walls, own = [], []
    for _ in range(repeats):
        begun, before = time.perf_counter(), os.times()
        subprocess.run(command, env=ENVIRONMENT, cwd=REPOSITORY, capture_output=True, check=True)
        after = os.times()
        walls.append(time.perf_counter() - begun)
        own.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(walls), statistics.median(own)


def store(verdicts: Path, seeds: int) -> tuple[str, int]:
    """Store a registered, judged run of that many seeds; return its name and the size of its results."""
    raw = FILE.read_bytes().replace(b"count: 10", f"count: {seeds}".encode())
    claims_raw = FILE.with_name("claims.yaml").read_bytes()
    loaded = spec.parse(raw, claims_raw, FILE.name)
    trail = ledger.Ledger(verdicts)
    pins = ledger.pin_code(loaded.hypothesis, verdict.default_templates())
    ledger.register(trail, raw, claims_raw, loaded.hypothesis, pins)
    registration = ledger.find_registration(trail, loaded.hypothesis.id)
    assert registration is not None
    model = read_run(ledger.Ledger(REPOSITORY / "verdicts"), loaded.hypothesis.id)
    body = RunStartedBody(
        hypothesis=loaded.hypothesis.id,
        registration=registration.digest,
        raw=registration.raw,
        canonical=registration.canonical,
        pins=pins,
        plan="0" * 64,
        seeds=registration.seeds,
        environment=ledger.describe_environment(REPOSITORY),
        device="none: made up",
        command="benchmarks/judge.py",
    )
    attempt = ledger.start_or_resume(trail, body, resume=False, say=lambda _: None)
    measurements = drawn(model.measurements, registration.seeds, registration.digest)
    registered = Registered(
        hypothesis=loaded.hypothesis, claims=loaded.claims, registration=registration.digest, seeds=registration.seeds
    )
    decision = inference.decide(loaded.hypothesis, measurements)
    made_up: dict[str, Any] = {"run": attempt.name, "registration": registration.digest, "attempts": ()}
    provenance = Provenance.model_validate(model.provenance.model_dump() | made_up)
    files = render_verdict(registered, measurements, decision, provenance)
    files["env.json"] = provenance.to_json().encode()
    files["results.json"] = measurements.to_json().encode()
    for name, data in files.items():
        (attempt.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (attempt.folder / name).write_bytes(data)
    trail.record(RunFinishedBody(run=attempt.run.digest, results=_digest(files["results.json"])))
    digests = {name: _digest(data) for name, data in files.items()}
    trail.record(VerdictBody(run=attempt.run.digest, outcome=decision.outcome, files=digests))
    return attempt.name, len(files["results.json"])


def drawn(model: Measurements, seeds: tuple[int, ...], registration: str) -> Measurements:
    """Return measurements of the model's shape: each replica is one of the model's, with numbers moved by up to 1%."""
    draw = random.Random(1)
    by_arm: dict[str, list[Any]] = {}
    for replica in model.replicas:
        by_arm.setdefault(replica.arm, []).append(replica.model_dump(mode="json"))
    replicas = []
    for arm, known in by_arm.items():
        for index, seed in enumerate(seeds):
            own = json.loads(
                json.dumps(known[index % len(known)]), parse_float=lambda x: float(x) * draw.uniform(0.99, 1.01)
            )
            digest = _digest(f"{arm} {index}".encode())
            replicas.append(own | {"seed_index": index, "seed": seed, "weights_sha256": digest})
    plain = model.model_dump(mode="json") | {"seeds": seeds, "registration": registration, "replicas": replicas}
    return Measurements.model_validate_json(json.dumps(plain))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
