"""Simulation of a large run on a cluster: harness's own code follows 20,000 jobs on 1,000 workers that fail.

    python benchmarks/cluster.py --figure benchmarks/cluster.svg

What follows jobs (``pipeline/spread.py``), the launcher for Slurm and the files of jobs are the real ones, as is the
loop over cohorts. Simulated are Slurm's commands, time, and training: an hour passes at once, and a worker that is done
leaves a sealed result of the form that an engine leaves. Drawn, with a fixed seed: how long cohorts take, workers that
are killed or taken off for others, nodes that go with all they run, cohorts that kill whatever meets them, times in
which the scheduler gives no answer, and ends of the command, which is given again.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import re
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from compare import HERE

from harness import ledger, spec
from harness.errors import Interrupted, LaunchFailed
from harness.launchers import SchedulerSilent, slurm
from harness.pipeline import remote, spread
from harness.pipeline.jobs import ENDED, PROGRESS, JobEnd, JobProgress, Task, write
from harness.pipeline.places import Place
from harness.records import Cohort, Plan, Replica
from harness.training.checkpoint import WorkFolder
from harness.training.loop import train_all
from harness.training.run import Run

PER_NODE = 8
"""Workers of a node, which end together."""
CHECKPOINT = 60.0
"""Seconds between two checkpoints."""
START = 15.0
"""Seconds that a worker takes to begin."""
RESULT_BYTES = 2000
"""Bytes of a result, those of a cohort of few replicas."""


@dataclass
class Faults:
    """Rates of the faults that are drawn, per hour of a worker unless a rate says otherwise."""

    killed: float = 0.05
    preempted: float = 0.10
    node_lost: float = 0.01
    """Per hour of a node."""
    poisoned: int = 5
    """Cohorts that kill whatever trains them."""
    silences: int = 3
    """Times that the scheduler gives no answer for ten minutes."""
    command_ends: int = 3
    """Times that the command ends, and is given again ten minutes later."""


@dataclass
class Work:
    """A job as the cluster sees it: how much of it is done, and saved."""

    cohort: Cohort
    seconds: float
    poisoned: bool = False
    saved: float = 0.0


@dataclass
class Cluster:
    """A Slurm in a time of its own, which passes when somebody waits."""

    workers: int
    faults: Faults
    work: dict[str, Work]
    """Job's folder → what it is."""
    draw: random.Random
    now: float = 0.0
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    queue: deque[str] = field(default_factory=deque)
    folders: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    running: dict[str, tuple[int, float, int]] = field(default_factory=dict)
    """Job → worker, when it began, number of its start."""
    free: list[int] = field(default_factory=list)
    silent_until: float = 0.0
    submissions: int = 0
    starts: int = 0
    trained: float = 0.0
    """Seconds of workers, lost ones too."""
    busy: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = list(range(self.workers))

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, len(self.events) + self.starts * 1_000_000, do))

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and happen what happens in it."""
        until = self.now + seconds
        while self.events and self.events[0][0] <= until:
            self.now, _, do = heapq.heappop(self.events)
            do()
        self.now = until

    def call(self, command: Sequence[str]) -> str:
        """Answer as Slurm's commands do."""
        if self.now < self.silent_until:
            raise SchedulerSilent("Unable to contact slurm controller (connect failure)")
        return str(getattr(self, f"_{command[0]}")(command))

    def _sbatch(self, command: Sequence[str]) -> str:
        self.submissions += 1
        number = str(1000 + self.submissions)
        for task, folder in re.findall(r"^(\d+)\) cd (\S+) ", Path(command[-1]).read_text(), re.MULTILINE):
            job = f"{number}_{task}"
            self.folders[job], self.states[job] = folder, "PENDING"
            self.queue.append(job)
        self._fill()
        return number

    def _squeue(self, _: Sequence[str]) -> str:
        return "\n".join(f"{job} {state}" for job, state in self.states.items())

    def _scontrol(self, command: Sequence[str]) -> str:
        return self.ended.get(command[-1], "")

    def _scancel(self, _: Sequence[str]) -> str:
        return ""

    def _fill(self) -> None:
        while self.queue and self.free:
            self._begin(self.queue.popleft(), self.free.pop())
        if not self.busy or self.busy[-1][1] != len(self.running):
            self.busy.append((self.now, len(self.running)))

    def _begin(self, job: str, worker: int) -> None:
        one = self.work[self.folders[job]]
        self.starts += 1
        self.states[job], self.running[job] = "RUNNING", (worker, self.now, self.starts)
        rest = one.seconds - one.saved + START
        fate, after = "done", rest
        for name, rate in (("killed", self.faults.killed), ("preempted", self.faults.preempted)):
            drawn = self.draw.expovariate(rate / 3600) if rate else float("inf")
            if drawn < after:
                fate, after = name, drawn
        if one.poisoned:
            fate, after = "killed", START
        start = self.starts
        self.at(self.now + after, lambda: self._end(job, fate, start))

    def _end(self, job: str, fate: str, start: int) -> None:
        if job not in self.running or self.running[job][2] != start:
            return  # it went with its node
        worker, began, _ = self.running.pop(job)
        self.free.append(worker)
        self._leave(job, fate, self.now - began)
        self._fill()

    def _leave(self, job: str, fate: str, seconds: float) -> None:
        """Write what a worker leaves when it ends, and what Slurm says of it."""
        folder = Path(self.folders[job])
        one = self.work[str(folder)]
        self.trained += seconds
        come = one.saved + max(seconds - START, 0.0)
        one.saved = come if fate == "preempted" else max(one.saved, come // CHECKPOINT * CHECKPOINT)
        del self.states[job]
        told = {"done": "COMPLETED", "preempted": "PREEMPTED", "killed": "FAILED", "node": "NODE_FAIL"}[fate]
        self.ended[job] = f"JobState={told} ExitCode={'0:0' if fate == 'done' else '0:9'}"
        if fate == "done":
            WorkFolder(folder / "work").save_result(one.cohort, {"replicas": ["."] * (RESULT_BYTES // 4)})
            write(folder, ENDED, JobEnd(how="done"))
            return
        steps = int(come / one.seconds * one.cohort.steps)
        write(folder, PROGRESS, JobProgress(arms=("arm",), replicas=1, epoch=1, epochs=2, steps=steps))
        if fate == "preempted":
            write(folder, ENDED, JobEnd(how="stopped", message="stopped with a checkpoint"))

    def lose_nodes(self, until: float) -> None:
        """Draw when nodes are lost."""
        nodes = self.workers // PER_NODE
        when = 0.0 if self.faults.node_lost else until
        while when < until and (when := when + self.draw.expovariate(self.faults.node_lost * nodes / 3600)) < until:
            self.at(when, partial(self._lose, self.draw.randrange(nodes)))

    def _lose(self, node: int) -> None:
        for job, (worker, _, start) in list(self.running.items()):
            if worker // PER_NODE == node:
                self._end(job, "node", start)

    def fall_silent(self) -> None:
        self.silent_until = self.now + 600


def make_plan(options: argparse.Namespace) -> Plan:
    """Make cohorts of one replica each, of the quick start's first arm."""
    hypothesis = spec.load(HERE.parent / "hypotheses/quickstart_digits.yaml").hypothesis
    name, arm = next(iter(hypothesis.arms.items()))
    cohorts = tuple(
        Cohort(arms={name: arm}, replicas=(Replica(arm=name, seed_index=i, seed=i),), memory_bytes=0)
        for i in range(options.cohorts)
    )
    return Plan(hypothesis="large", registration="", seeds=tuple(range(options.cohorts)), cohorts=cohorts)


def simulate(plan: Plan, options: argparse.Namespace, faults: Faults, folder: Path) -> dict[str, Any]:
    """Train the plan on a cluster with these faults; return what was counted."""
    draw = random.Random(1)
    seconds = [60.0 * options.minutes * draw.lognormvariate(0, 0.5) for _ in plan.cohorts]
    poisoned = set(draw.sample(range(len(plan.cohorts)), faults.poisoned))
    ideal = sum(seconds) / options.workers
    needed = sum(each for number, each in enumerate(seconds) if number not in poisoned)
    launcher = slurm.Slurm(name="slurm", folder=str(folder / "jobs"), poll_seconds=options.poll)
    task = Task(
        plan=plan.model_copy(update={"cohorts": ()}), device="cpu", compile="auto", expected=None, modules=(), data={},
        environment=ledger.describe_environment(HERE), data_folder="", weights={}, checkpoint_seconds=CHECKPOINT,
    )  # fmt: skip
    root = folder / "jobs" / "large-run"
    place, said = Place("cluster", launcher), []
    following = spread.Spread(place, task, root, said.append)
    work = {}
    for number, cohort in enumerate(plan.cohorts):  # the folders that the jobs are going to have
        part = plan.model_copy(update={"cohorts": (cohort,)})
        work[str(root / f"job-{part.digest[:16]}")] = Work(cohort, seconds[number], number in poisoned)
    cluster = Cluster(options.workers, faults, work, draw)
    cluster.lose_nodes(10 * ideal)
    for _ in range(faults.silences):
        cluster.at(draw.uniform(0, ideal), cluster.fall_silent)
    ends = sorted(draw.uniform(0, ideal) for _ in range(faults.command_ends))
    spread.time, slurm._call = cluster, cluster.call  # type: ignore[assignment]
    (looks, memory), before, begun = _time_looks(following), _measure_memory(), time.perf_counter()

    def stop() -> bool:
        return bool(ends) and cluster.now >= ends[0]

    device: Any = SimpleNamespace(workers=1)
    gave_up = ""
    while True:
        run = Run({}, device, folder / "run", stop=stop, elsewhere=following)
        done = WorkFolder(run.folder / "work")
        waiting = [cohort for cohort in plan.cohorts if done.load_result(cohort) is None]
        try:
            train_all(plan, waiting, run, done)
            break
        except Interrupted:
            ends.pop(0)
            cluster.sleep(600)
        except LaunchFailed as error:
            gave_up = error.message
            break
    place_of_run: Any = SimpleNamespace(place=place, hypothesis="large")
    launch = remote.describe_launch(place_of_run, Path("run")).model_dump_json()
    trained = sum(done.load_result(cohort) is not None for cohort in plan.cohorts)
    return {
        "cohorts trained": trained,
        "given up": gave_up.partition(":")[0],
        "hours": cluster.now / 3600,
        "ideal hours": ideal / 3600,
        "worker hours": cluster.trained / 3600,
        "of these for starts, and what was trained twice": (cluster.trained - needed) / 3600,
        "submissions": cluster.submissions,
        "starts": cluster.starts,
        "client MB": (max(memory) - before) / 1e6,
        "client s per look, longest": max(looks),
        "client s per look, mean": sum(looks) / len(looks),
        "client s": time.perf_counter() - begun,
        "launch bytes": len(launch),
        "job files MB": sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) / 1e6,
        "launch": json.loads(launch),
        "busy": cluster.busy[:: max(len(cluster.busy) // 2000, 1)],
    }  # fmt: skip


def _measure_memory() -> int:
    """Return the memory that this process has now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _time_looks(following: spread.Spread) -> tuple[list[float], list[int]]:
    """Have every look at the jobs timed, in real seconds, and memory measured after it."""
    looks: list[float] = []
    memory: list[int] = []
    look = following._look

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        found = look(*arguments)
        looks.append(time.perf_counter() - start)
        memory.append(_measure_memory())
        return found

    following._look = timed  # type: ignore[method-assign]
    return looks, memory


def draw_figure(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw how many workers were busy over time."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "cluster", "font.size": 9}):
        figure = Figure(figsize=(7, 2.8), layout="constrained")
        panel = figure.subplots()
        for (name, one), colour in zip(found.items(), ("0.6", "black"), strict=False):
            hours, busy = zip(*[(when / 3600, count) for when, count in one["busy"]], strict=True)
            panel.step(hours, busy, where="post", color=colour, linewidth=1, label=name)
        panel.set_xlabel("hours")
        panel.set_ylabel("workers that train")
        panel.legend(frameon=False)
        panel.grid(alpha=0.3)
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description="A large run on a cluster that fails.")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--cohorts", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=20.0, help="median of a cohort's training")
    parser.add_argument("--poll", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--figure", type=Path, help="SVG")
    options = parser.parse_args()
    plan = make_plan(options)
    memory = Path("/dev/shm")  # where writing durably costs nothing
    found = {}
    for name, faults in (("without faults", Faults(0, 0, 0, 0, 0, 0)), ("with faults", Faults())):
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            found[name] = simulate(plan, options, faults, Path(folder))
    keys = [key for key in found["with faults"] if key not in ("busy", "launch")]
    print(f"{options.cohorts:,} cohorts, {options.workers:,} workers\n\n| | {' | '.join(found)} |\n| -- | -- | -- |")
    for key in keys:
        cells = [one[key] if isinstance(one[key], str) else f"{one[key]:,.5g}" for one in found.values()]
        print(f"| {key} | {' | '.join(cells)} |")
    print(f"\n{found['with faults']['launch']}")
    if options.figure:
        draw_figure(found, options.figure)


if __name__ == "__main__":
    main()
