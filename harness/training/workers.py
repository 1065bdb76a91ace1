"""Cohorts spread over the cards, or the cores, of one host: one process each, every cohort wholly in one of them.

What a cohort comes to does not depend on which process trained it, nor on how many there were: the plan says what
trains together, a process on a processor calculates with one thread, and results reach the parent as files.

Each process has a line of its own to the parent. Nothing is shared, so that one that is killed leaves no lock behind
and is missed by the end of its line; and when the parent is killed, the same line ends at the other side.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, cast

import torch

from harness.errors import HarnessError, Interrupted
from harness.records import Cohort
from harness.system.processes import Descriptor, leave_signals_to_parent, start_server
from harness.training.run import Progress, Run

PATIENCE = 0.1  # seconds between looks at whether the run is to stop
STOP = "stop"
SAME_COMMAND = "give the same command again: it goes on from the last checkpoint"
Order = tuple[int, Cohort] | str | None
"""What a worker is told: a cohort's index and the cohort, to stop with a checkpoint, or (None) that nothing is left."""


@dataclass(frozen=True)
class WorkerMessage:
    """What a worker reports about its cohort."""

    kind: str
    """progress, done, too_large, stopped or failed."""
    content: Any = None


@dataclass
class Worker:
    """A process, the line to it, and the cohort that it is at."""

    process: BaseProcess
    line: Connection
    task: int | None = None

    def tell(self, order: Order) -> None:
        """Send an order; one that is dead already is missed when its line is read."""
        with suppress(OSError):
            self.line.send(order)


def train_beside(
    cohorts: list[Cohort], run: Run, train_one: Callable[[Cohort, Run], None], tell: Callable[[int, Progress], None]
) -> list[int]:
    """Train cohorts in ``run.device.workers`` processes; the indices of those that did not fit their device.

    ``train_one`` keeps a cohort's result in the run's folder; ``tell`` gets a cohort's index and its progress.

    Raises:
        Interrupted: ``run.stop`` said so, or a process was killed; every cohort kept its last checkpoint.
        HarnessError: what a process failed with.
    """
    team = Team(cohorts, run, tell)
    try:
        for number in range(min(run.device.workers, len(cohorts))):
            team.take_on(started(run, train_one, number))
        return team.listen()
    finally:
        for worker in team.workers.values():  # none, unless something was raised here
            worker.process.kill()
            worker.process.join()


def started(run: Run, train_one: Callable[[Cohort, Run], None], number: int) -> Worker:
    """Start a process, which holds the lock on the run's folder as well.

    Raises:
        Interrupted: the system grants none.
    """
    held = None if run.lock is None else Descriptor(run.lock)
    quiet = replace(run, report=_nothing, stop=_never, lock=None)
    try:
        context = start_server()
        line, far = context.Pipe()
        with far:
            process = context.Process(target=_work, args=(quiet, train_one, number, far, held), daemon=True)
            process.start()
    except (OSError, EOFError) as error:
        raise Interrupted(f"a training process could not be started: {error}", remedy=SAME_COMMAND) from error
    return Worker(process, line)


@dataclass
class Team:
    """The processes, what is left to do, and what became of the rest."""

    cohorts: list[Cohort]
    run: Run
    tell: Callable[[int, Progress], None]
    workers: dict[Connection, Worker] = field(default_factory=dict)
    too_large: list[int] = field(default_factory=list)
    failure: Exception | None = None
    stopping: bool = False
    stopped: bool = False
    """Whether anything was left undone."""

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.cohorts)))

    def take_on(self, worker: Worker) -> None:
        """Add a worker, and give it a cohort."""
        self.workers[worker.line] = worker
        self._occupy(worker)

    def listen(self) -> list[int]:
        """Pass on what workers say until all of them have ended; the indices of cohorts that did not fit."""
        while self.workers:
            if not self.stopping and self.run.stop():
                self._stop()
            for line in wait(list(self.workers), timeout=PATIENCE):
                self._hear(self.workers[cast("Connection", line)])
        if self.failure is not None:
            raise self.failure
        if self.stopped:
            raise Interrupted("stopped with a checkpoint", remedy="give the same command again: it goes on from there")
        return self.too_large

    def _hear(self, worker: Worker) -> None:
        try:
            message: WorkerMessage = worker.line.recv()
        except (EOFError, OSError):
            self._miss(worker)
            return
        assert worker.task is not None
        if message.kind == "progress":
            self.tell(worker.task, message.content)
            return
        if message.kind == "too_large":
            self.too_large.append(worker.task)
        elif message.kind == "stopped":
            self.stopped = True
        elif message.kind == "failed":
            self._fail(message.content)
        self._occupy(worker)

    def _occupy(self, worker: Worker) -> None:
        """Give a worker the next cohort, or let it end."""
        worker.task = self.waiting.popleft() if self.waiting else None
        worker.tell(None if worker.task is None else (worker.task, self.cohorts[worker.task]))

    def _miss(self, worker: Worker) -> None:
        """Note that a worker's line ended, and with it the worker: as it was told, or amid a cohort."""
        del self.workers[worker.line]
        worker.line.close()
        worker.process.join()
        if worker.task is not None:
            code = worker.process.exitcode
            what = f"a training process died (exit code {code}): out of memory, or killed"
            self._fail(Interrupted(what, remedy=SAME_COMMAND))

    def _fail(self, failure: Exception) -> None:
        """Let the others keep what they have before the first failure is raised."""
        self.failure = self.failure or failure
        self._stop()

    def _stop(self) -> None:
        self.stopping = True
        self.stopped |= bool(self.waiting)
        self.waiting.clear()
        for worker in self.workers.values():
            worker.tell(STOP)


def _work(
    run: Run, train_one: Callable[[Cohort, Run], None], number: int, line: Connection, held: Descriptor | None
) -> None:
    """Train what the parent says until there is nothing left, or this process is to stop. ``held`` is only held."""
    leave_signals_to_parent()
    if os.name != "nt":
        os.set_inheritable(line.fileno(), False)
    orders: SimpleQueue[Order] = SimpleQueue()
    stopping = threading.Event()
    threading.Thread(target=_heed, args=(line, orders, stopping), daemon=True).start()
    run = replace(run, device=run.device.worker(number), stop=stopping.is_set)
    while isinstance(order := orders.get(), tuple):
        _, cohort = order
        try:
            train_one(cohort, replace(run, report=lambda at: line.send(WorkerMessage("progress", at))))
            line.send(WorkerMessage("done"))
        except torch.OutOfMemoryError:
            line.send(WorkerMessage("too_large"))
        except Interrupted:
            line.send(WorkerMessage("stopped"))
        except Exception as error:  # told to the parent, which raises it
            _send_failure(line, error)


def _heed(line: Connection, orders: SimpleQueue[Order], stopping: threading.Event) -> None:
    """Take orders, also amid a cohort. When the parent is gone this process ends at once, whatever it is about.

    Nobody would take its results, and a new run may have begun; files are replaced whole or not at all.
    """
    while True:
        try:
            order = line.recv()
        except (EOFError, OSError):
            os._exit(1)
        if order == STOP:
            stopping.set()
        orders.put(order)


def _send_failure(line: Connection, error: Exception) -> None:
    try:
        line.send(WorkerMessage("failed", error))
    except OSError:
        raise
    except Exception:  # an error that cannot be pickled
        line.send(WorkerMessage("failed", HarnessError(f"{type(error).__name__}: {error}")))


def _nothing(_: object) -> None:
    """Report nothing, until the process itself replaces it: what reports to a terminal cannot be sent there."""


def _never() -> bool:
    return False
