"""Every rule's step beside a loop of one replica, on one machine and in one run: a table.

    python benchmarks/rules.py --device cuda --out rules.jsonl --seconds 250
    python benchmarks/rules.py --device cpu --replicas 3 --width 16 --blocks 2 --batch 32 --images 256 --rules bp dfa
    python benchmarks/rules.py --read rules.jsonl

Each rule (a name, or ``name:option=value,…``) is trained with --replicas replicas of residual_mlp by the step that a
run of 100 epochs would choose, and one replica of it by the loop: ``loop.py``'s for BP and DFA, otherwise the rule's
definition in plain eager PyTorch (``eager.py``). On a card several rules are built at a time in processes of their own,
because compiling takes a core each; then one after the other is timed while the others wait. Every figure is written to
--out as soon as it is there, and a rule that --out holds already is not measured again. Images are made up, of
CIFAR-10's shape and number: times don't depend on what they show.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from eager import measure_loop, open_feed, wait

from harness.datasets import Images
from harness.plan import estimate_cohort_bytes
from harness.plugins.registry import find_members
from harness.records import Arm, Cohort, Replica
from harness.training import Device, open_device, takes_kernels
from harness.training.device import use_one_thread
from harness.training.program import Program, build_program
from harness.training.steps.choose import choose_step_kind

EPOCHS = 100  # of the run that a step is chosen for
OPERATIONS = 67e12  # float32 per second, data sheet of H100 and H200 (SXM)
BANDWIDTH = {"H200": 4.8e12, "": 3.35e12}  # bytes per second, data sheets; the latter an H100's
FIRST = (
    "dfa", "bp", "drtp", "fa_block", "dfa:matrices=shared", "dfa:matrices=nested", "dfa:feedback_seed=0",
    "dfa:init=uniform", "dfa:normalize=batch", "dfa:normalize=none", "dfa:error=sign", "dfa:error=target", "fa", "ifa",
    "sign_symmetric", "sign_symmetric:variant=frsf", "sign_symmetric:variant=brsf", "kolen_pollack",
)  # fmt: skip
"""Rules that come first, because others are compared with them; all others that learn follow."""


def list_rules() -> list[str]:
    """Return every registered rule that is expected to learn, and the options that have a step of their own."""
    found = find_members("rules")
    others = sorted(name for name, kind in found.items() if getattr(kind, "learns", False) and name not in FIRST)
    return [*FIRST, *others]


def make_arm(text: str, options: Any) -> Arm:
    """Return the arm of a rule's text, ``name`` or ``name:option=value,…``."""
    name, _, given = text.partition(":")
    rule: dict[str, Any] = {"name": name}
    for pair in filter(None, given.split(",")):
        key, _, value = pair.partition("=")
        rule[key] = json.loads(value) if value and (value[0].isdigit() or value == "null") else value
    setup = {
        "dataset": {"name": "cifar10", "augment": ["random_crop", "horizontal_flip"]},
        "model": {"name": "residual_mlp", "width": options.width, "blocks": options.blocks},
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01, "schedule": "cosine"},
        "epochs": EPOCHS,
        "batch_size": options.batch,
    }
    return Arm.model_validate({"label": text, "rule": rule, "setup": setup})


def make_images(count: int) -> Images:
    """Return made-up images of CIFAR-10's shape."""
    generator = np.random.default_rng(0)
    train, test = (generator.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8) for n in (count, max(64, count // 5)))
    labels = [generator.integers(0, 10, len(split), dtype=np.int64) for split in (train, test)]
    return Images(train, labels[0], test, labels[1], tuple(map(str, range(10))), "made up", False)


# harness's step -------------------------------------------------------------------------------------------------------


def build(text: str, options: Any, images: Images, device: Device) -> tuple[Program, dict[str, Any]]:
    """Build, compile and capture a rule's program; return it with what there is to say about it so far."""
    arm = make_arm(text, options)
    replicas = tuple(Replica(arm="a", seed_index=i, seed=i) for i in range(options.replicas))
    cohort = Cohort(arms={"a": arm}, replicas=replicas, memory_bytes=0)
    before = torch.cuda.memory_allocated() if device.is_cuda else 0
    began = time.perf_counter()
    kind = choose_step_kind(cohort, device, EPOCHS * -(-options.images // options.batch))
    program = build_program(cohort, images, device, kind=kind)
    about = {"step": kind, "building": time.perf_counter() - began, "before": before}
    return program, about | {"predicted_bytes": estimate_cohort_bytes(cohort, kernels=takes_kernels(device)(cohort))}


def measure_engine(program: Program, options: Any) -> dict[str, Any]:
    """Return the median seconds of a step of all replicas, over what is replayed at a time, for about --engine s."""
    device, began, found, epoch = program.state.device, time.perf_counter(), [], 0
    steps, last = program.step, 0.0
    while len(found) < 3 or time.perf_counter() - began < options.engine:
        program.begin_epoch(epoch, program.draw(epoch))
        wait(device.torch)
        last, done = time.perf_counter(), program.done

        def stop() -> bool:
            nonlocal last, done
            wait(device.torch)
            now = time.perf_counter()
            found.append((now - last) / (program.done - done))
            last, done = now, program.done
            return now - began > options.engine and len(found) >= 3

        program.run_epoch(stop)
        if not steps.can_stop_mid_epoch:
            wait(device.torch)
            found.append((time.perf_counter() - last) / program.done)
        epoch += 1
    diverged = int((~program.find_finite()).sum())
    return {"step_seconds": statistics.median(found[1:]), "measured": len(found) - 1, "diverged": diverged}


def answer(text: str, options: Any) -> None:
    """Build a rule's program, say so on standard output, wait for a line, time it and print what was found."""
    try:
        device = open_device(options.device, options.compile)
        with use_one_thread(device):
            program, about = build(text, options, make_images(options.images), device)
            print(json.dumps({"ready": text}), flush=True)
            sys.stdin.readline()
            found = about | measure_engine(program, options)
        before = found.pop("before")
        if device.is_cuda:
            found["peak_bytes"] = torch.cuda.max_memory_allocated() - before
        print(json.dumps(found), flush=True)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        print(json.dumps({"failed": said[:300]}), flush=True)


class Child:
    """A process that builds one rule's program and times it when it is told to."""

    def __init__(self, text: str, options: Any) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--answer", text, "--device", options.device]
        for name in ("compile", "replicas", "width", "blocks", "batch", "images", "engine"):
            command += [f"--{name}", str(getattr(options, name))]
        environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "2", "OMP_NUM_THREADS": "2"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.text, self.process = text, subprocess.Popen(command, env=environment, **pipes)

    def hear(self, seconds: float) -> dict[str, Any]:
        """Return the next line of JSON; one that says so if there is none in time."""
        heard: list[str] = []
        thread = threading.Thread(target=lambda: heard.append(self._read()), daemon=True)
        thread.start()
        thread.join(max(0.1, seconds))
        if not heard:
            return {"failed": "not ready in time"}
        found: dict[str, Any] = json.loads(heard[0]) if heard[0] else {"failed": "ended without an answer"}
        return found

    def _read(self) -> str:
        for line in self.process.stdout or ():
            if line.startswith("{"):
                return line
        return ""

    def go(self) -> None:
        """Have it time its program."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """End it, if it runs still."""
        self.process.kill()
        self.process.communicate()


# Rules, wave by wave --------------------------------------------------------------------------------------------------


class Results:
    """Results so far, by rule; every addition is a line of --out."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.rows = path, {}
        self.about: dict[str, Any] = {}
        for line in path.read_text().splitlines() if path is not None and path.exists() else ():
            self._take(json.loads(line))

    def _take(self, row: dict[str, Any]) -> None:
        if "rule" in row:
            self.rows.setdefault(row["rule"], {}).update(row)
        else:
            self.about |= row

    def add(self, row: dict[str, Any]) -> None:
        """Take a row and write it."""
        self._take(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def lacks(self, text: str) -> bool:
        """Tell whether a rule was not measured."""
        row = self.rows.get(text, {})
        return "step_seconds" not in row or "loop_step_seconds" not in row


def measure(wanted: list[str], options: Any, device: Device, results: Results) -> None:
    """Measure the rules in waves; none begins that would not end within --seconds."""
    began, longest = time.monotonic(), 0.0
    feed = None
    if options.loader_batches:
        few = make_images(2048)
        feed = open_feed(few.train_images, few.train_labels, options.batch)
    at_a_time = max(1, options.beside)
    for first in range(0, len(wanted), at_a_time):
        here = time.monotonic()
        if here - began + longest > options.seconds:
            say(f"no time for {', '.join(wanted[first:])}")
            return
        wave = wanted[first : first + at_a_time]
        engines = beside(wave, options, began) if options.beside else alone(wave, options, device)
        for text, found in engines:
            results.add({"rule": text, **found})
            say(f"{text}: {found}")
        for text in wave:
            if time.monotonic() - began < options.seconds and "step_seconds" in results.rows[text]:
                results.add({"rule": text, **measure_loop(make_arm(text, options), options, device, feed)})
                gc.collect()
        print(table(results), flush=True)
        longest = max(longest, time.monotonic() - here)


def alone(wave: list[str], options: Any, device: Device) -> Iterator[tuple[str, dict[str, Any]]]:
    """Build and time rules in this process, one by one."""
    images = make_images(options.images)
    for text in wave:
        gc.collect()
        if device.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with use_one_thread(device):
            program, about = build(text, options, images, device)
            found = about | measure_engine(program, options)
        before = found.pop("before")
        if device.is_cuda:
            found["peak_bytes"] = torch.cuda.max_memory_allocated() - before
        del program
        yield text, found


def beside(wave: list[str], options: Any, began: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Build rules at the same time, in processes of their own, and then time them one after the other."""
    children = [Child(text, options) for text in wave]
    try:
        heard = [child.hear(options.seconds - (time.monotonic() - began)) for child in children]
        for child, said in zip(children, heard, strict=True):
            if "failed" in said:
                child.end()
                yield child.text, said
        for child, said in zip(children, heard, strict=True):
            if "failed" not in said:
                child.go()
                found = child.hear(60.0)
                child.end()
                yield child.text, found
    finally:
        for child in children:
            child.end()


# Table ----------------------------------------------------------------------------------------------------------------


def table(results: Results) -> str:
    """Return what was found as Markdown."""
    about = results.about
    heads = (
        "rule", "step", "ms per step", "ms per replica and epoch", "loop", "loop's ms per step", "with a loader",
        "loop / engine", "its steps / engine", "of the larger floor", "times dfa", "peak GB", "predicted GB",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|" + " -- |" * len(heads)]
    dfa = results.rows.get("dfa", {}).get("step_seconds")
    for text, row in results.rows.items():
        if "step_seconds" not in row:
            lines.append(f"| {text} | {row.get('failed', 'not measured')} |" + " |" * (len(heads) - 2))
            continue
        step, epoch_steps, replicas = row["step_seconds"], about["images"] / about["batch"], about["replicas"]
        alone, fed = row.get("loop_step_seconds"), row.get("loop_seconds")
        floor = 0.0
        if about["bandwidth"] and "moved_bytes" in row:
            floor = max(row["moved_bytes"] / about["bandwidth"], row["operations"] / about["operations"])
        cells = [
            text, row["step"] + (f", {row['diverged']} diverged" if row["diverged"] else ""),
            show(1e3 * step), show(1e3 * step * epoch_steps / replicas), row.get("loop", ""),
            show(alone and 1e3 * alone), show(fed and 1e3 * fed), show(fed and replicas * fed / step),
            show(alone and replicas * alone / step), show(floor and step / floor), show(dfa and step / dfa),
            show(row.get("peak_bytes", 0) / 1e9), show(row["predicted_bytes"] / 1e9),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    head = f"{about['device']}, PyTorch {about['torch']}, float32: {about['replicas']} replicas of residual_mlp"
    head += f" {about['width']} × {about['blocks']}, batch {about['batch']}, {about['images']} images per epoch."
    return "\n".join([head, "", *lines, ""])


def show(number: float | None) -> str:
    """Return a number to three digits; nothing if there is none."""
    return f"{number:.3g}" if number else ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", metavar="NAME[:KEY=VALUE,…]", help="default: all that learn")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", default="auto", help="as for harness run")
    parser.add_argument("--out", type=Path, help="JSON, a line per finding, added to as it goes")
    parser.add_argument("--read", type=Path, help="print the table of what --out wrote, measure nothing")
    parser.add_argument("--seconds", type=float, default=250.0, help="begin nothing that would end later")
    parser.add_argument("--beside", type=int, help="rules built at a time in processes of their own; 0: in this one")
    parser.add_argument("--engine", type=float, default=1.0, help="seconds of timing of each step")
    parser.add_argument("--loop-steps", type=int, default=20, help="steps of the loop that are timed")
    parser.add_argument("--loader-batches", type=int, default=15, help="and with a DataLoader; 0: without")
    parser.add_argument("--replicas", type=int, default=64)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=50_000, help="training images, made up")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure, or print what was measured."""
    options = parse(arguments)
    if options.answer:
        answer(options.answer, options)
        return
    results = Results(options.read or options.out)
    if not options.read:
        device = open_device(options.device, options.compile)
        if options.beside is None:
            options.beside = max(1, min(12, (os.cpu_count() or 1) * 3 // 4)) if device.is_cuda else 0
        bandwidth = next(rate for name, rate in BANDWIDTH.items() if name in device.name) if device.is_cuda else 0
        about = {"device": device.name, "torch": torch.__version__, "bandwidth": bandwidth, "operations": OPERATIONS}
        about |= {name: getattr(options, name) for name in ("replicas", "width", "blocks", "batch", "images")}
        if results.about and results.about != about:
            raise SystemExit(f"{options.out} is of another machine or setting: name another file")
        if not results.about:
            results.add(about)
        wanted = [text for text in options.rules or list_rules() if results.lacks(text)]
        for text in wanted:
            make_arm(text, options)  # so that a misspelt name fails before anything is measured
        measure(wanted, options, device, results)
    print(table(results))


if __name__ == "__main__":
    main()
