"""Overhead of running programs: replicas of a short program, by harness and by themselves, on the same cores.

    python benchmarks/programs.py --replicas 200 --milliseconds 50

The program is a Python script that works until it has taken that much processor time, its own start included, and
writes one number. All of its replicas run in a temporary folder: first alone, ``--parallel`` at a time, then by the
function that ``harness run`` calls, each in a copy of its code behind its guard. It ends with 1 if these took more than
twice the processor time of the programs alone, or more than twice their time from first to last: on cores that nobody
else uses, that is their processor time divided by the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import plan
from harness.programs import Work, run_replicas
from harness.records import Hypothesis
from harness.spec import load

SCRIPT = """\
import os, random, sys, time
seed, out, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
value = 0.0
while time.process_time() < seconds:
    value = random.Random(seed).random()
with open(os.path.join(out, "metrics.json"), "w") as file:
    file.write('{"test_accuracy": %r}' % value)
"""
FILE = """\
schema_version: 1
id: short
title: One arm is like the other
question: Is it?
prediction: {outcome: similar, why: It is the same.}
prior_data_seen: {level: none}
program:
  command: [python3, short.py, "{seed}", "{out}", "{seconds}"]
  lock: none
  timeout: 1 min
metrics: {test_accuracy: {bounds: [0, 1]}}
results: {form: json, file: metrics.json}
arms:
  one: {label: One, parameters: {seconds: SECONDS}}
  other: {label: Other, parameters: {seconds: SECONDS}}
seeds: {count: COUNT}
estimands: {margin: {metric: test_accuracy, contrast: one - other}}
decisions:
  margin: {estimand: margin, criterion: {name: t, alpha: 0.1}, bands: {less: "(-inf, 0]", similar: "(0, inf)"}}
implications: {less: {says: x}, similar: {says: x}, inconclusive: {says: x}, invalid: {says: x}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, default=200)
    parser.add_argument("--milliseconds", type=float, default=50)
    parser.add_argument("--parallel", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, seconds = Path(folder), options.milliseconds / 1000
        (root / "short.yaml").write_text(
            FILE.replace("SECONDS", repr(seconds)).replace("COUNT", str(options.replicas // 2))
        )
        hypothesis = load(root / "short.yaml").hypothesis
        alone = measure(lambda: run_alone(root, options, seconds))
        by_harness = measure(lambda: run_by_harness(hypothesis, root, options))
    print(f"{options.replicas} replicas of {options.milliseconds:g} ms, {options.parallel} at a time")
    print(f"alone:      {alone[0]:6.2f} s, processor time {alone[1]:6.2f} s")
    print(f"by harness: {by_harness[0]:6.2f} s, processor time {by_harness[1]:6.2f} s")
    more, longer = by_harness[1] / alone[1], by_harness[0] / alone[0]
    each = (by_harness[1] - alone[1]) / options.replicas * 1000
    print(f"processor time × {more:.2f} ({each:.0f} ms more each), time × {longer:.2f}")
    sys.exit(1 if max(more, longer) > 2 else 0)


def measure(run: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds that something took, and the processor time of this process and those that it started."""
    begun, before = time.monotonic(), spend()
    run()
    return time.monotonic() - begun, spend() - before


def spend() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def run_alone(root: Path, options: argparse.Namespace, seconds: float) -> None:
    """Run the command of every replica, as a loop over seeds would."""
    (root / "short.py").write_text(SCRIPT)
    waiting, running = list(range(options.replicas)), []
    while waiting or running:
        while waiting and len(running) < options.parallel:
            seed = waiting.pop()
            out = root / f"out-{seed}"
            out.mkdir()
            command = ["python3", str(root / "short.py"), str(seed), str(out), repr(seconds)]
            running.append(subprocess.Popen(command, cwd=root))
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        running = [process for process in running if process.poll() is None]
    assert all(json.loads((root / f"out-{seed}/metrics.json").read_text()) for seed in range(options.replicas))


def run_by_harness(hypothesis: Hypothesis, root: Path, options: argparse.Namespace) -> None:
    """Run the replicas as ``harness run`` does, once the run is registered."""
    assert hypothesis.program is not None
    assert hypothesis.results is not None
    work = Work(
        program=hypothesis.program,
        results=hypothesis.results,
        frozen={"short.py": (0o100644, SCRIPT.encode())},
        inputs={},
        root=root,
        environment=dict(os.environ),
        parallel=options.parallel,
    )
    planned = plan.expand_replicas(hypothesis, tuple(range(options.replicas // 2)))
    result = run_replicas(planned, work, root / "run")
    assert all(replica.status == "finished" for replica in result.replicas), result.replicas


if __name__ == "__main__":
    main()
