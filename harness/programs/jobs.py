"""The replicas of a program: several at a time, each in a folder of its own, sealed when its results were read."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.adapters import LARGEST
from harness.domain.trained import Elsewhere, Progress, Result, name_replica
from harness.errors import Interrupted, TrainingFailed
from harness.programs.folders import ReplicaFolder, Sealed
from harness.programs.growth import find_epoch
from harness.programs.parse import fail_replica, read_replica
from harness.programs.process import End, Running, start
from harness.programs.work import Work
from harness.records import Arm, Cohort, Plan, Replica, ReplicaResult
from harness.records.program import Program, ReplicaRun, Results
from harness.system.locks import sole_writer

POLL_SECONDS = 0.1
STOPPED = "stopped: what ran was ended"
AMBIGUOUS = "the system's answer to too much memory, perhaps"


@dataclass
class _State:
    """Progress of a run: replicas that wait, run, and are done."""

    plan: Plan
    work: Work
    folder: Path
    report: Callable[[Progress], None]
    stop: Callable[[], bool]
    waiting: list[tuple[Replica, Arm]]
    running: dict[int, tuple[Running, ReplicaFolder, Replica, Arm]] = field(default_factory=dict)
    done: int = 0
    free: list[str] = field(default_factory=list)
    """Cards that no replica has."""
    epochs: dict[str, int] = field(default_factory=dict)
    """Replica that runs → epoch that its results file tells of."""
    folders: dict[Replica, ReplicaFolder] = field(default_factory=dict)
    """Folder of each replica that was begun, which knows its tries."""


def run_replicas(
    plan: Plan,
    work: Work,
    folder: Path,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    elsewhere: Elsewhere | None = None,
) -> Result:
    """Run every replica of a plan in ``folder``, or those that an earlier call left to do; read their results.

    Replicas that a call has sealed are never run again. What they leave running is ended with them. ``elsewhere`` runs
    them in the place of this machine.

    Raises:
        Interrupted: ``stop`` asked for it; whatever ran was ended, and is run again by the same call.
        StorageFailed: a file could not be written, or another process works in the folder.
        TrainingFailed: the command can't be started at all.
    """
    replicas = [(replica, cohort.arms[replica.arm]) for cohort in plan.cohorts for replica in cohort.replicas]
    with sole_writer(folder / "work"):
        found = {name_replica(r.arm, r.seed_index): ReplicaFolder(folder, r).load() for r, _ in replicas}
        left = [(r, arm) for r, arm in replicas if found[name_replica(r.arm, r.seed_index)] is None]
        left.sort(key=lambda pair: pair[0].seed_index)  # seed by seed: a comparison is whole as early as can be
        free = [*work.cards]
        state = _State(plan, work, folder, report, stop, left, done=len(replicas) - len(left), free=free)
        if elsewhere is not None and left:
            _have_run(state, elsewhere)
        elif elsewhere is None:
            try:
                _run_all(state)
            finally:
                for running, *_ in state.running.values():
                    running.end()
        sealed = [ReplicaFolder(folder, replica).load() for replica, _ in replicas]
    return _join(plan, [one for one in sealed if one is not None])


def have_all(cohorts: Iterable[Cohort], folder: Path) -> bool:
    """Tell whether all replicas of these cohorts are sealed in a folder."""
    return all(ReplicaFolder(folder, one).load() is not None for cohort in cohorts for one in cohort.replicas)


def take_over(cohorts: Iterable[Cohort], theirs: Path, folder: Path) -> None:
    """Take over what another folder has sealed of these cohorts, with the replicas' output.

    Raises:
        StorageFailed: Something could not be written.
    """
    for cohort in cohorts:
        for one in cohort.replicas:
            ReplicaFolder(folder, one).take(ReplicaFolder(theirs, one))


def clear(plan: Plan, folder: Path) -> None:
    """Remove what replicas of a plan that were stopped have anew when they go on.

    Raises:
        StorageFailed: Something could not be removed.
    """
    for cohort in plan.cohorts:
        for one in cohort.replicas:
            ReplicaFolder(folder, one).forget()


def _have_run(state: _State, elsewhere: Elsewhere) -> None:
    """Have the replicas that wait run elsewhere; what is told of a job counts all replicas of it."""
    wanted = {(one.arm, one.seed_index) for one, _ in state.waiting}
    cohorts = [cohort for cohort in state.plan.cohorts if {(r.arm, r.seed_index) for r in cohort.replicas} & wanted]
    replicas, each = sum(len(cohort.replicas) for cohort in state.plan.cohorts), state.work.results.epochs
    told: dict[int, Progress] = {}

    def tell(position: int, at: Progress) -> None:
        told[position] = at
        # A job that goes on tells of replicas, too, that were taken over from it before.
        known = max(0, sum(one.cohorts for one in told.values()) - len(state.waiting))
        steps = state.done * each + max(0, sum(one.steps_done for one in told.values()) - known * each)
        done = state.done + max(0, sum(one.cohort for one in told.values()) - known)
        if steps < replicas * each:  # the end is told once, when everything is here
            state.report(replace(at, cohort=done, cohorts=replicas, steps_done=steps, steps_total=replicas * each))

    elsewhere(state.plan, cohorts, state, tell)
    state.done = replicas
    _tell(state, cohorts[-1].replicas[-1], each)


def _run_all(state: _State) -> None:
    stop = state.stop
    with selectors.DefaultSelector() as selector:
        while state.waiting or state.running:
            while state.waiting and _has_room(state) and not stop():
                replica, arm = state.waiting.pop(0)
                _begin(state, selector, replica, arm)
            if stop():
                raise Interrupted(STOPPED, remedy="give the same command again: it goes on")
            for key, _ in selector.select(POLL_SECONDS):
                running, folder, replica, arm = state.running[key.fd]
                if running.read():
                    continue
                selector.unregister(key.fd)
                del state.running[key.fd]
                end = running.end()
                state.free += running.cards
                if _finish(state, end, folder, replica, arm):
                    state.waiting.insert(0, (replica, arm))
            for running, *_ in state.running.values():
                if running.overdue:
                    running.urge(running.latest)
            _look_at_growth(state)


def _has_room(state: _State) -> bool:
    """Tell whether one more replica may run: as many as are allowed, and as there are cards for."""
    return len(state.running) < state.work.parallel and len(state.free) >= state.work.gpus


def _look_at_growth(state: _State) -> None:
    """Report replicas whose results file tells of another epoch than before."""
    if state.work.results.form not in ("jsonl", "csv") or state.work.results.epochs == 1:
        return
    for _, folder, replica, arm in state.running.values():
        epoch = find_epoch(folder.results / state.work.results.file, state.work.results)
        if epoch > state.epochs.get(folder.name, 0) and epoch < arm.setup.epochs:
            state.epochs[folder.name] = epoch
            _tell(state, replica, epoch)


def _begin(state: _State, selector: selectors.BaseSelector, replica: Replica, arm: Arm) -> None:
    folder = state.folders.setdefault(replica, ReplicaFolder(state.folder, replica))
    folder.begin(state.work.frozen)
    cards, state.free = tuple(state.free[: state.work.gpus]), state.free[state.work.gpus :]
    running = start(folder, replica, arm, state.work, cards)
    state.running[running.report] = running, folder, replica, arm
    selector.register(running.report, selectors.EVENT_READ)
    state.epochs[folder.name] = 0
    _tell(state, replica, 0)


def _finish(state: _State, end: End, folder: ReplicaFolder, replica: Replica, arm: Arm) -> bool:
    """Note how a replica ended, and seal it; return True if it is to be run again instead."""
    program = state.work.program
    kind, sentence = classify(end, program)
    if kind in ("preempted", "killed") and _is_to_stop(state):
        # Its end is no outcome of its own, and is none of those that the file lets be repeated.
        raise Interrupted(f"{STOPPED} with it: {sentence}", remedy="give the same command again: it goes on")
    tries = folder.end(sentence if kind in ("preempted", "killed") else None)
    if kind == "start":
        raise TrainingFailed(
            f"the command can't be started: {end.said}",
            where=f"arm {replica.arm}",
            remedy="install what it needs, then give the same command again",
        )
    if kind in ("preempted", "killed"):
        repeats = sum(one is not None and not one.startswith("harness ended") for one in tries)
        if program.again is not None and kind in program.again.when and repeats <= program.again.times:
            return True
    raw = _gather(folder.results, state.work.results)
    if kind == "finished":
        result = _judge_file(replica, arm, raw, folder, state.work.results)
    else:
        named = None if raw is None else read_replica(replica, arm, raw, state.work.results).raw
        result = fail_replica(replica, sentence, named)
    run = ReplicaRun(
        arm=replica.arm,
        seed_index=replica.seed_index,
        log=folder.keep_log(),
        repeated=tuple(one for one in tries[: -1 if kind in ("preempted", "killed") else None] if one is not None),
        unpinned=folder.list_unpinned(state.work.root, set(state.work.inputs.values())),
        changed=folder.list_changed(state.work.frozen),
    )
    folder.seal(Sealed(result, run, raw or b""))
    state.done += 1
    state.epochs.pop(folder.name, None)
    _tell(state, replica, arm.setup.epochs)
    return False


def _is_to_stop(state: _State) -> bool:
    """Tell whether everything is to end, and not only a replica that was ended from outside."""
    until = time.monotonic() + state.work.patience
    while not (asked := state.stop()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return asked


def _judge_file(
    replica: Replica, arm: Arm, raw: bytes | None, folder: ReplicaFolder, results: Results
) -> ReplicaResult:
    if raw is not None:
        return read_replica(replica, arm, raw, results)
    if results.adapter is not None:
        return fail_replica(replica, f"it ended with exit code 0, and not exactly one {results.file} is there")
    why = "is no regular file" if os.path.lexists(folder.results / results.file) else "is not there"
    return fail_replica(replica, f"it ended with exit code 0, and its results file {results.file} {why}")


def classify(end: End, program: Program) -> tuple[str, str]:
    """Return the kind of a program's end, and a sentence that is the same on every machine.

    Kinds: finished, preempted, killed, failed (by the program), start (it never ran).
    """
    if end.kind == "exit" and end.code == 0:
        return "finished", "it ended with exit code 0"
    if end.kind == "exit" and end.code == os.EX_TEMPFAIL:
        return "preempted", "it was preempted: exit code 75"
    if end.kind == "signal" and end.code == 15:
        return "preempted", "it was preempted: SIGTERM"
    if end.kind == "signal" and end.code == 9:
        return "killed", f"it was killed: SIGKILL, {AMBIGUOUS}"
    if end.kind == "lost":
        return "killed", "it was killed: so was the process that watched it"
    if end.kind == "timeout":
        return "failed", f"it took longer than {program.timeout}"
    if end.kind == "size":
        return "failed", f"it wrote more than {program.size}"
    if end.kind == "start":
        return "start", end.said
    if end.kind == "signal":
        return "failed", f"it ended by signal {end.code}"
    return "failed", f"it ended with exit code {end.code}"


def list_files(result: Result) -> dict[str, bytes]:
    """Return the results files of a run by the names of their replicas."""
    return dict(sorted(result.raw.items()))


def _gather(folder: Path, results: Results) -> bytes | None:
    """Return the results that a program wrote below its folder; None if they are not there, or not as the file says."""
    adapter = results.adapter
    if adapter is None:
        return _read_raw(folder / results.file)
    with suppress(OSError):
        return adapter.gather(folder, results.file)
    return None


def _read_raw(path: Path) -> bytes | None:
    """Return a results file, cut off where it is too large to be one; None if it is no regular file."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if path.is_file():
                return file.read(LARGEST + 1)
    return None


def _tell(state: _State, replica: Replica, epoch: int) -> None:
    """Report that a replica begins, has come to an epoch, or has ended; a step is an epoch of one replica."""
    replicas, each = sum(len(cohort.replicas) for cohort in state.plan.cohorts), state.work.results.epochs
    steps = state.done * each + sum(state.epochs.values())
    name = name_replica(replica.arm, replica.seed_index)
    state.report(Progress(state.done, replicas, (replica.arm,), 1, epoch, each, steps, replicas * each, replica=name))


def _join(plan: Plan, sealed: list[Sealed]) -> Result:
    arms = list(dict.fromkeys(replica.arm for cohort in plan.cohorts for replica in cohort.replicas))
    sealed.sort(key=lambda one: (arms.index(one.result.arm), one.result.seed_index))
    raw = {name_replica(one.result.arm, one.result.seed_index): one.raw for one in sealed if one.result.raw is not None}
    return Result(
        replicas=tuple(one.result for one in sealed),
        weights={},
        cohorts=tuple(1 for _ in sealed),
        runs=tuple(one.run for one in sealed),
        raw=raw,
    )
