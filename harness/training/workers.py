"""Worker processes that train cohorts in parallel, one per card or core of a host; a cohort never leaves its process.

A cohort's results depend neither on the process that trains it nor on the number of processes: the plan says which
replicas train together, a process on a CPU computes with one thread, and results reach the parent as files.

Each process has its own connection to the parent, and nothing is shared. A killed worker therefore leaves no lock
behind, and the parent notices the end of its connection; a killed parent is noticed at the other end in the same way.
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

from harness.domain.trained import Progress
from harness.errors import HarnessError, Interrupted
from harness.plugins.distributions import explain_failure
from harness.records import Cohort
from harness.system.processes import Descriptor, hide_main, leave_signals_to_parent, start_server
from harness.training.run import Run

POLL_SECONDS = 0.1  # between two looks at whether the run is to stop
STOP = "stop"
SAME_COMMAND = "give the same command again: it goes on from the last checkpoint"
Order = tuple[int, Cohort] | str | None
"""An order to a worker: a cohort with its index, STOP (write a checkpoint and stop), or None (no work is left)."""


@dataclass(frozen=True)
class WorkerMessage:
    """A worker's report about its cohort."""

    kind: str
    """One of progress, done, too_large, stopped and failed."""
    content: Any = None


@dataclass
class Worker:
    """A worker process, the parent's connection to it, and the index of the cohort that it trains."""

    process: BaseProcess
    line: Connection
    task: int | None = None

    def send(self, order: Order) -> None:
        """Send an order; a worker that is already dead is noticed when its connection is read."""
        with suppress(OSError):
            self.line.send(order)


def train_in_processes(
    cohorts: list[Cohort], run: Run, train_one: Callable[[Cohort, Run], None], tell: Callable[[int, Progress], None]
) -> list[int]:
    """Train cohorts in ``run.device.workers`` processes; return the indices of those that did not fit their device.

    ``train_one`` saves a cohort's result in the run's folder; ``tell`` receives a cohort's index and its progress.

    Raises:
        Interrupted: ``run.stop`` requested it, or a process was killed; every cohort kept its last checkpoint.
        HarnessError: a process failed with this error.
    """
    team = Team(cohorts, run, tell)
    try:
        for number in range(min(run.device.workers, len(cohorts))):
            team.add(start_worker(run, train_one, number))
        return team.listen()
    finally:
        for worker in team.workers.values():  # none are left unless an exception was raised
            worker.process.kill()
            worker.process.join()


def start_worker(run: Run, train_one: Callable[[Cohort, Run], None], number: int) -> Worker:
    """Start a worker process, which also holds the lock on the run's folder.

    Raises:
        Interrupted: the operating system granted no process.
    """
    held = None if run.lock is None else Descriptor(run.lock)
    detached = replace(run, report=_ignore, stop=_never_stop, idle=_do_nothing, lock=None)
    try:
        context = start_server()
        line, worker_end = context.Pipe()
        with worker_end:
            process = context.Process(target=_work, args=(detached, train_one, number, worker_end, held), daemon=True)
            with hide_main():
                process.start()
    except (OSError, EOFError) as error:
        raise Interrupted(f"a training process could not be started: {error}", remedy=SAME_COMMAND) from error
    return Worker(process, line)


@dataclass
class Team:
    """The worker processes, the cohorts that wait for one, and the outcome of the others."""

    cohorts: list[Cohort]
    run: Run
    tell: Callable[[int, Progress], None]
    workers: dict[Connection, Worker] = field(default_factory=dict)
    too_large: list[int] = field(default_factory=list)
    failure: Exception | None = None
    stopping: bool = False
    stopped: bool = False
    """True if any cohort was left unfinished."""

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.cohorts)))

    def add(self, worker: Worker) -> None:
        """Add a worker and give it a cohort."""
        self.workers[worker.line] = worker
        self._assign(worker)

    def listen(self) -> list[int]:
        """Handle the workers' messages until all workers have ended; return the indices of cohorts that did not fit."""
        while self.workers:
            if not self.stopping and self.run.stop():
                self._stop()
            for line in wait(list(self.workers), timeout=POLL_SECONDS):
                self._receive(self.workers[cast("Connection", line)])
        if self.failure is not None:
            raise self.failure
        if self.stopped:
            raise Interrupted("stopped with a checkpoint", remedy="give the same command again: it goes on from there")
        return self.too_large

    def _receive(self, worker: Worker) -> None:
        try:
            message: WorkerMessage = worker.line.recv()
        except (EOFError, OSError):
            self._remove(worker)
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
            self._record_failure(message.content)
        self._assign(worker)

    def _assign(self, worker: Worker) -> None:
        """Give a worker the next cohort, or let it end if none is left."""
        worker.task = self.waiting.popleft() if self.waiting else None
        worker.send(None if worker.task is None else (worker.task, self.cohorts[worker.task]))

    def _remove(self, worker: Worker) -> None:
        """Handle the end of a worker's connection, and with it of the worker: either in order, or while it trained."""
        del self.workers[worker.line]
        worker.line.close()
        worker.process.join()
        if worker.task is not None:
            code = worker.process.exitcode
            what = f"a training process died (exit code {code}): out of memory, or killed"
            self._record_failure(Interrupted(what, remedy=SAME_COMMAND))

    def _record_failure(self, failure: Exception) -> None:
        """Keep the first failure, to be raised once the other workers have written their checkpoints."""
        self.failure = self.failure or failure
        self._stop()

    def _stop(self) -> None:
        self.stopping = True
        self.stopped |= bool(self.waiting)
        self.waiting.clear()
        for worker in self.workers.values():
            worker.send(STOP)


def _work(
    run: Run, train_one: Callable[[Cohort, Run], None], number: int, line: Connection, held: Descriptor | None
) -> None:
    """Train the cohorts that the parent sends until none is left or a stop is ordered; ``held`` only keeps the lock."""
    leave_signals_to_parent()
    if os.name != "nt":
        os.set_inheritable(line.fileno(), False)
    orders: SimpleQueue[Order] = SimpleQueue()
    stopping = threading.Event()
    threading.Thread(target=_receive_orders, args=(line, orders, stopping), daemon=True).start()
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
        except Exception as error:  # sent to the parent, which raises it
            _send_failure(line, error)


def _receive_orders(line: Connection, orders: SimpleQueue[Order], stopping: threading.Event) -> None:
    """Receive orders, even while a cohort trains, and end this process at once when the parent is gone.

    Nobody would take its results, and a new run may have begun. Files are replaced as a whole or not at all.
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
    """Send an error, which arrives without its traceback: whose code failed is told here."""
    if not isinstance(error, HarnessError):
        error = explain_failure(error) or error
    try:
        line.send(WorkerMessage("failed", error))
    except OSError:
        raise
    except Exception:  # an error that cannot be pickled
        line.send(WorkerMessage("failed", HarnessError(f"{type(error).__name__}: {error}")))


def _ignore(_: object) -> None:
    """Ignore progress until the process sets its own callback; one that writes to a terminal cannot be pickled."""


def _never_stop() -> bool:
    return False


def _do_nothing() -> None:
    """Do no other work: whoever started this process has the time for it."""
