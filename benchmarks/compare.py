"""Comparison of harness's training with the per-seed loop (``loop.py``), on the same data, machine and run.

    python benchmarks/compare.py digits
    python benchmarks/compare.py protocol single many --data data --out results.json     (needs CUDA)

digits: the quick start's arms and seeds on the processor. protocol: protocol 1's arms and seeds. single: each of its
arms as one replica. many: each of its rules with --replicas replicas. Only training is timed, evaluation is not.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from harness import spec
from harness.datasets import Images
from harness.pipeline.run_steps import make_plan
from harness.records import Arm, Cohort, Replica
from harness.training import Device, open_device
from harness.training.device import use_one_thread
from harness.training.diagnostics import Diagnostics
from harness.training.program import build_program
from harness.training.results import select_metrics
from harness.training.steps.choose import choose_step_kind

HERE = Path(__file__).resolve().parent
H100 = {"bandwidth": 3.35e12, "float32": 67e12, "tf32": 494e12}  # data sheet, SXM: bytes/s; dense operations/s


def cohorts_of(part: str, arms: dict[str, Arm], planned: tuple[Cohort, ...], replicas: int) -> list[Cohort]:
    """Return the cohorts that a part of the comparison trains."""
    if part in ("digits", "protocol"):
        return list(planned)
    if part == "single":
        groups = [({name: arm}, 1) for name, arm in arms.items()]
    else:
        rules: dict[str, dict[str, Arm]] = {}
        for name, arm in arms.items():
            rules.setdefault(arm.rule.name, {})[name] = arm
        groups = [(chosen, replicas // len(chosen)) for chosen in rules.values()]
    cohorts = []
    for chosen, seeds in groups:
        stacked = tuple(Replica(arm=name, seed_index=i, seed=i) for name in chosen for i in range(seeds))
        cohorts.append(Cohort(arms=chosen, replicas=stacked, memory_bytes=0))
    return cohorts


def engine_times(cohort: Cohort, images: Images, device: Device, epochs: int, together: Any = None) -> dict[str, Any]:
    """Return the seconds of each epoch of a cohort trained by ``harness.training``, after a warm-up epoch.

    ``together`` lets processes that train beside each other begin their epochs at the same time.
    """
    gc.collect()  # frees the previous program, if it is part of a reference cycle
    if device.is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device.is_cuda else 0
    steps = -(-len(images.train_labels) // cohort.setup.batch_size) * cohort.setup.epochs
    program = build_program(cohort, images, device, kind=choose_step_kind(cohort, device, steps))
    schedule = program.draw(0)
    seconds = []
    for epoch in range(epochs + 1):
        if together is not None:
            together.wait()
        start = time.perf_counter()
        program.begin_epoch(epoch, schedule)
        program.run_epoch()
        schedule = program.draw(epoch + 1)  # while the device works
        if not program.find_finite().all():
            raise ArithmeticError("a replica diverged: these times mean nothing")
        seconds.append(time.perf_counter() - start)
    first, *timed = seconds
    diagnostics = Diagnostics(program, select_metrics(cohort.setup))
    diagnostics.evaluate()  # once to warm up
    start = time.perf_counter()
    diagnostics.evaluate()
    measuring = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated() - before if device.is_cuda else None
    return {
        "seconds": timed,
        "median": statistics.median(timed),
        "first_epoch": first,
        "measuring": measuring,
        "peak_bytes": peak,
    }


def times_beside(cohort: Cohort, images: Images, device: Device, epochs: int, count: int) -> dict[str, Any]:
    """Return times as ``engine_times`` does, for as many concurrent processes as ``harness run`` would start.

    An epoch takes as long as the slowest process; ``median`` is that divided by the processes.
    """
    if device.is_cuda or count == 1:
        with use_one_thread(device):
            return engine_times(cohort, images, device, epochs)
    context = multiprocessing.get_context("spawn")
    together, answers = context.Barrier(count, timeout=600), context.Queue()
    arguments = (cohort, images, device.worker(0), epochs, together, answers)
    processes = [context.Process(target=answer_times, args=arguments, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=600) for _ in processes]
    if failed := [answer for answer in found if isinstance(answer, Exception)]:
        raise failed[0]
    for process in processes:
        process.join()
    slowest = [max(epoch) for epoch in zip(*(times["seconds"] for times in found), strict=True)]
    return found[0] | {"seconds": slowest, "median": statistics.median(slowest) / len(processes)}


def answer_times(cohort: Cohort, images: Images, device: Device, epochs: int, together: Any, answers: Any) -> None:
    """Time a cohort in one of the concurrent processes."""
    try:
        with use_one_thread(device):
            answers.put(engine_times(cohort, images, device, epochs, together))
    except Exception as error:  # the other processes wait at the barrier, and the parent for an answer
        together.abort()
        answers.put(error)


def in_turn(seconds: list[float], workers: int) -> float:
    """Return the total time of cohorts that start in order, each in the first free process."""
    busy = [0.0] * workers
    for one in seconds:
        busy[busy.index(min(busy))] += one
    return max(busy)


def loop_text(arm: Arm) -> str:
    """Return the arm in the syntax of ``loop.py``; refuse what the loop does not support."""
    if arm.freeze not in ((), ("blocks",)) or arm.rule.name not in ("dfa", "bp"):
        raise SystemExit(f"the loop cannot train arm {arm.label!r}")
    strength = arm.penalty.strength if arm.penalty else 0.0
    return f"{arm.rule.name}:{strength:g}" + (":frozen" if arm.freeze else "")


def loop_times(name: str, arms: list[str], processes: int, threads: int | None, options: Any) -> dict[str, list[float]]:
    """Return arm → seconds of each epoch of the slowest of ``processes`` concurrent loops, one model each."""
    command = [sys.executable, str(HERE / "loop.py"), name, "--wait", f"--device={options.device}"]
    command += [f"--arm={arm}" for arm in arms]
    command += [f"--data={options.data}", f"--epochs={options.loop_epochs}", f"--precision={options.precision}"]
    command += [f"--batches={options.loop_batches}"] if options.loop_batches else []
    command += [f"--threads={threads}"] if threads else []
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(processes)]

    def heard() -> list[str]:
        lines = [child.stdout.readline() for child in children]
        if not all(lines):
            raise SystemExit("a process of the loop ended early")
        return lines

    times = {}
    try:
        for arm in arms:
            heard()  # all are ready, so that all are busy while any is timed
            for child in children:
                child.stdin.write("go\n")
                child.stdin.flush()
            results = [json.loads(line)["seconds"] for line in heard()]
            times[arm] = [max(epoch) for epoch in zip(*results, strict=True)]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    return times


def roofline(cohort: Cohort, measured: float, options: Any) -> str:
    """Return one line: bytes and operations of a step from the model's shape, the lower bounds, ``measured`` seconds.

    Per trained number AdamW reads weight, gradient and two moments and writes three of them; backward writes the
    gradient. Weights are read once forward and, where a gradient passes through them, once backward. Input and output
    of every product count once.
    """
    setup, count = cohort.setup, len(cohort.replicas)
    moved = operations = 0.0
    for arm in (cohort.arms[replica.arm] for replica in cohort.replicas):
        frozen = setup.model.expand_groups(arm.freeze)
        for tensor in setup.model.parameters(setup.dataset.features, setup.classes):
            size = math.prod(tensor.shape)
            trained = tensor.group not in frozen
            passes = tensor.group != "embedding" and (trained or arm.rule.name == "bp")
            moved += 4 * size * (1 + 8 * trained + passes)
            if len(tensor.shape) == 2:
                moved += 4 * setup.batch_size * sum(tensor.shape)
                operations += 2 * setup.batch_size * size * (1 + trained + passes)
    line = f"{', '.join(cohort.arms)} × {count}: a step moves {moved / 1e6:.3g} MB and does {operations / 1e9:.3g} Gop"
    if options.bandwidth and options.operations:
        memory, arithmetic = moved / options.bandwidth, operations / options.operations
        line += f"; floors {memory * 1e3:.3g} ms (memory) and {arithmetic * 1e3:.3g} ms (arithmetic)"
        line += f", measured {measured * 1e3:.3g} ms: {measured / max(memory, arithmetic):.3g} times the higher floor"
    return line


def compare(part: str, options: Any, device: Device, known: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per cohort of a part. ``known`` caches the loop's times, which parts share."""
    file = "quickstart_digits.yaml" if part == "digits" else "mode2_direction.yaml"
    hypothesis = spec.load(HERE.parent / "hypotheses" / file).hypothesis
    arms = {}
    for name, arm in hypothesis.arms.items():
        setup = arm.setup.model_copy(update={"precision": options.precision})
        arms[name] = arm.model_copy(update={"setup": setup})
    name = setup.dataset.name
    images = setup.dataset.load(options.data, say)
    wanted = [text for text in dict.fromkeys(map(loop_text, arms.values())) if f"{name} {text}" not in known]
    for processes, threads in options.loop if wanted else ():
        say(f"{name}: the loop, {way(processes, threads)}")
        for text, seconds in loop_times(name, wanted, processes, threads, options).items():
            entry: dict[str, Any] = {"processes": processes, "threads": threads, "seconds": seconds}
            entry["per_replica"] = statistics.median(seconds) / processes
            known.setdefault(f"{name} {text}", []).append(entry)
    seeds = tuple(range(hypothesis.seeds.number))
    planned = make_plan(device, hypothesis.model_copy(update={"arms": arms}), seeds)
    rows = []
    for cohort in cohorts_of(part, arms, planned.cohorts, options.replicas):
        say(f"{part}: the engine, {', '.join(cohort.arms)} × {len(cohort.replicas)}")
        count = min(device.workers, len(planned.cohorts))
        engine = times_beside(cohort, images, device, options.engine_epochs, count)
        step = statistics.median(engine["seconds"]) / -(-len(images.train_labels) // setup.batch_size)
        used = [known[f"{name} {loop_text(cohort.arms[replica.arm])}"] for replica in cohort.replicas]
        loops = [sum(tried["per_replica"] for tried in ways) for ways in zip(*used, strict=True)]
        row = {"part": part, "arms": list(cohort.arms), "replicas": len(cohort.replicas), "step": step}
        row["processes"] = 1 if device.is_cuda else count
        rows.append(row | {"engine": engine, "loops": loops, "roofline": roofline(cohort, step, options)})
    return rows


def report(rows: list[dict[str, Any]], ways: list[str]) -> str:
    """Return Markdown: a table per replica and epoch, the ratio to the loop's fastest variant, then the rooflines."""
    heads = ["part", "arms", "replicas", *(f"loop, {text}" for text in ways), "engine", "loop / engine", "ms per step"]
    lines = [heads, ["---"] * len(heads)]
    groups = [[row] for row in rows]
    groups += [[row for row in rows if row["part"] == part] for part in dict.fromkeys(row["part"] for row in rows)]
    for group in groups:
        replicas = sum(row["replicas"] for row in group)
        engine = group[0]["engine"]["median"]
        if len(group) > 1:
            engine = in_turn([statistics.median(row["engine"]["seconds"]) for row in group], group[0]["processes"])
        loops = [sum(seconds) for seconds in zip(*(row["loops"] for row in group), strict=True)]
        alone = len(group) == 1
        arms, step = (", ".join(group[0]["arms"]), f"{group[0]['step'] * 1e3:.3g}") if alone else ("all of these", "")
        cells = [short(seconds / replicas) for seconds in (*loops, engine)]
        lines.append([group[0]["part"], arms, str(replicas), *cells, f"{min(loops) / engine:.3g}", step])
    table = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([*table, "", *(f"- {row['part']}, {row['roofline']}" for row in rows)])


def way(processes: int, threads: int | None) -> str:
    return f"{processes} at a time" + (f" with {threads} thread{'s' * (threads > 1)}" if threads else "")


def short(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> Any:
    parser = argparse.ArgumentParser(description="Time the engine and the per-seed loop side by side.")
    parser.add_argument("parts", nargs="+", choices=["digits", "protocol", "single", "many"])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, help="JSON, written anew after every part")
    parser.add_argument("--device", help="default: cpu for digits, else cuda")
    parser.add_argument("--precision", choices=["float32", "tf32"], default="float32", help="of both")
    parser.add_argument("--replicas", type=int, default=64, help="per rule of part many")
    parser.add_argument("--engine-epochs", type=int, default=7, help="timed after one that warms up")
    parser.add_argument("--loop-epochs", type=int, default=3, help="timed after 20 batches that warm up")
    parser.add_argument("--loop-batches", type=int, help="time so many batches of each of the loop's epochs and scale")
    parser.add_argument("--loop", nargs="+", metavar="PROCESSES[xTHREADS]", help="loops at a time, threads of each")
    parser.add_argument("--bandwidth", type=float, help="bytes/s for the floors; default on CUDA: an H100's 3.35e12")
    parser.add_argument("--operations", type=float, help="operations/s; default on CUDA: an H100's 67e12, TF32 494e12")
    options = parser.parse_args()
    if "digits" in options.parts and len(options.parts) > 1:
        parser.error("digits runs on the processor: measure it in a call of its own")
    options.device = options.device or ("cpu" if options.parts == ["digits"] else "cuda")
    threads = torch.get_num_threads()
    ways = options.loop or ([f"1x{threads}", "1x1", f"{threads}x1"] if options.device == "cpu" else ["1"])
    pairs = [text.partition("x") for text in ways]
    options.loop = [(int(processes), int(count) if count else None) for processes, _, count in pairs]
    if options.device != "cpu":
        options.bandwidth = options.bandwidth or H100["bandwidth"]
        options.operations = options.operations or H100[options.precision]
    return options


def main() -> None:
    options = parse()
    device = open_device(options.device)
    machine = {"device": device.name, "cores": os.cpu_count(), "load_before": os.getloadavg()}
    machine |= {"platform": platform.platform(), "python": platform.python_version(), "torch": torch.__version__}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    rows: list[dict[str, Any]] = []
    known: dict[str, Any] = {}
    for part in options.parts:
        rows += compare(part, options, device, known)
        if options.out:
            result = {"machine": machine, "settings": settings, "loop": known, "rows": rows}
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    how = f"{options.loop_batches} batches of each, scaled" if options.loop_batches else "whole"
    print(f"{device.name}, PyTorch {torch.__version__}, {options.precision}. Per replica and epoch, medians of")
    print(f"{options.engine_epochs} epochs (engine, one more to warm up) and {options.loop_epochs} (loop, {how}).\n")
    print(report(rows, [way(*pair) for pair in options.loop]))


if __name__ == "__main__":
    main()
