"""Cohorts spread over the cards, or the cores, of one host: one process each, every cohort wholly in one of them.

What a cohort comes to does not depend on which process trained it, nor on how many there were: the plan says what
trains together, a process on a processor calculates with one thread, and results reach the parent as files.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from queue import Empty
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import Interrupted
from harness.processes import start_server
from harness.records import Cohort

if TYPE_CHECKING:
    from harness.engine.loop import Progress, Run

PATIENCE = 0.5  # seconds between looks at whether everybody is still alive


@dataclass(frozen=True)
class Word:
    """What a worker reports about a cohort."""

    kind: str
    """progress, done, too_large, stopped or failed."""
    task: int
    content: Any = None


def train_beside(
    cohorts: list[Cohort], run: Run, train_one: Callable[[Cohort, Run], None], tell: Callable[[int, Progress], None]
) -> list[int]:
    """Train cohorts in ``run.device.workers`` processes; the indices of those that did not fit their device.

    ``train_one`` keeps a cohort's result in the run's folder; ``tell`` gets a cohort's index and its progress.

    Raises:
        Interrupted: ``run.stop`` said so, or a process was killed; every cohort kept its last checkpoint.
        HarnessError: what a process failed with.
    """
    context = start_server()
    tasks, words, stopping = context.Queue(), context.Queue(), context.Event()
    for task, cohort in enumerate(cohorts):
        tasks.put((task, cohort))
    for _ in range(run.device.workers):
        tasks.put(None)
    quiet = replace(run, report=_nothing, stop=_never)
    count = min(run.device.workers, len(cohorts))
    processes = [
        context.Process(target=_work, args=(quiet, train_one, number, tasks, words, stopping), daemon=True)
        for number in range(count)
    ]
    for process in processes:
        process.start()
    try:
        return _listen(len(cohorts), run, tell, processes, words, stopping)
    finally:
        stopping.set()
        for process in processes:
            process.join(timeout=30)
            process.kill()


def _listen(
    open_tasks: int,
    run: Run,
    tell: Callable[[int, Progress], None],
    processes: list[BaseProcess],
    words: Any,
    stopping: Any,
) -> list[int]:
    """Pass on what workers say until no cohort is left."""
    too_large, stopped = [], False
    while open_tasks:
        try:
            word: Word = words.get(timeout=PATIENCE)
        except Empty:
            if dead := [process for process in processes if process.exitcode not in (None, 0)]:
                raise Interrupted(
                    f"a training process died (exit code {dead[0].exitcode}): out of memory, or killed",
                    remedy="give the same command again: it goes on from the last checkpoint",
                ) from None
            word = Word("waiting", -1)
        if run.stop():
            stopping.set()
        if word.kind == "progress":
            tell(word.task, word.content)
        elif word.kind == "failed":
            raise word.content
        elif word.kind in ("done", "too_large", "stopped"):
            open_tasks -= 1
            stopped |= word.kind == "stopped"
            if word.kind == "too_large":
                too_large.append(word.task)
        if stopping.is_set() and word.kind in ("done", "stopped", "waiting") and _idle(processes, words):
            stopped = True
            break
    if stopped:
        raise Interrupted("stopped after the epochs under way", remedy="give the same command again: it goes on")
    return too_large


def _idle(processes: list[BaseProcess], words: Any) -> bool:
    """Whether all workers ended and have nothing more to say."""
    return words.empty() and all(process.exitcode is not None for process in processes)


def _work(
    run: Run, train_one: Callable[[Cohort, Run], None], number: int, tasks: Any, words: Any, stopping: Any
) -> None:
    """One process: trains what it takes from ``tasks`` until there is none left, or it is to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    run = replace(run, device=run.device.worker(number), stop=stopping.is_set)
    while not stopping.is_set() and (taken := tasks.get()) is not None:
        task, cohort = taken

        def tell(at: Progress, task: int = task) -> None:
            words.put(Word("progress", task, at))

        try:
            train_one(cohort, replace(run, report=tell))
            words.put(Word("done", task))
        except torch.OutOfMemoryError:
            words.put(Word("too_large", task))
        except Interrupted:
            words.put(Word("stopped", task))
        except Exception as error:  # told to the parent, which raises it
            words.put(Word("failed", task, error))


def _die_with(parent: int) -> None:
    """End this process when its parent is gone: nobody would take its results, and a new run may have begun."""
    while os.getppid() == parent:
        time.sleep(PATIENCE)
    os._exit(1)


def _nothing(_: object) -> None:
    """Replaced in the process itself: what reports to a terminal cannot be sent there."""


def _never() -> bool:
    return False
