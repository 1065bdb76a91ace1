"""Rules on the networks of the literature, beside their published errors: training, and the table.

    python benchmarks/published.py --device cuda --data DATA --out published.jsonl --seconds 300
    python benchmarks/published.py --device cuda --data DATA --out published.jsonl --sets pepita --share 1
    python benchmarks/published.py --report benchmarks/published.jsonl

Every arm has ten seeds, 0 to 9, and the settings of its publication as far as they are known; what differs is said
under each table. None of them was chosen by what it leads to. An arm is a line of --out as soon as it is trained, and
one that --out holds with as many epochs is not trained again: give the same command as often as there is time. With
--work, an arm that was interrupted goes on where it stopped.

By default an arm is trained for the share of its published epochs that leaves all of them within about five minutes on
an H200; the schedule of the learning rate is shortened alike. The table shows the row with the most epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from literature import DROP, EXPERIMENTS, LABELS, ORDER, read_rows, word_report

if TYPE_CHECKING:
    from harness.datasets import Images
    from harness.records import Arm, ReplicaResult
    from harness.training import Device

SEEDS = 10


def make_arm(name: str, key: str, epochs: int, images: int | None = None) -> Arm:
    """Return an arm, trained for so many epochs."""
    from harness.records import Arm

    experiment = EXPERIMENTS[name]
    published = experiment.arms[key]
    milestones = [max(1, round(at * epochs / experiment.epochs)) for at in experiment.milestones]
    reached = sorted({at for at in milestones if at < epochs})
    schedule = {"name": "step", "milestones": reached, "gamma": DROP} if reached else "constant"
    optimizer = experiment.setup["optimizer"] | {"schedule": schedule}
    metrics = ["test_accuracy", *(["validation_accuracy"] if experiment.reads == "best validation" else [])]
    setup = experiment.setup | {
        "optimizer": optimizer | ({} if published.lr is None else {"lr": published.lr}),
        "epochs": epochs,
        "evaluation": {"metrics": metrics, "every_epochs": max(1, epochs // 20)},
    }
    if images is not None:
        setup["subset"] = {"size": images}
    return Arm.model_validate({"label": LABELS[key], "rule": published.rule, "setup": setup})


def train_arms(
    arms: dict[tuple[str, str], Arm], images: dict[str, Images], device: Device, options: Any
) -> Iterator[Any]:
    """Train arms of ten seeds, as many at a time as there are cards; yield rows as they are there.

    Raises:
        Interrupted: There is no more time.
    """
    from harness.records import Cohort, Plan, Replica
    from harness.training import Run, train

    def make_cohort(key: str, arm: Arm) -> Cohort:
        replicas = tuple(Replica(arm=key, seed_index=i, seed=i) for i in range(options.seeds))
        return Cohort(arms={key: arm}, replicas=replicas, memory_bytes=0)

    stop = time.monotonic() + options.seconds
    waiting, at_a_time = list(arms.items()), device.workers if device.is_cuda else 1
    for first in range(0, len(waiting), at_a_time):
        part = waiting[first : first + at_a_time]
        began = time.monotonic()
        cohorts = tuple(make_cohort("-".join(key), arm) for key, arm in part)
        plan = Plan(hypothesis="published", registration="", seeds=tuple(range(options.seeds)), cohorts=cohorts)
        found = train(
            plan, Run(images, device, options.work, checkpoint_seconds=1e9, stop=lambda: time.monotonic() > stop)
        )
        seconds = time.monotonic() - began
        for (name, key), arm in part:
            own = [replica for replica in found.replicas if replica.arm == f"{name}-{key}"]
            data = images[arm.setup.dataset.name]
            yield {
                "set": name,
                "arm": key,
                "epochs": arm.setup.epochs,
                "images": options.images,
                "seconds": round(seconds, 1),
                "data": {"canonical": data.canonical, "fingerprint": data.fingerprint, "origin": data.origin},
                "replicas": [describe(replica) for replica in own],
            }


def describe(replica: ReplicaResult) -> dict[str, Any]:
    """Return what the table needs of a replica: its accuracies by epoch."""
    series = {
        name: [None if value is None else value[0] for value in found.values["value"]]
        for name, found in replica.metrics.items()
    }
    return {
        "seed": replica.seed,
        "status": replica.status,
        "weights": replica.weights_sha256[:16],
        "epochs": list(replica.metrics["test_accuracy"].epochs),
        **series,
    }


def measure(options: Any) -> None:
    """Train what --out lacks, for as long as there is time."""
    import torch

    from harness.datasets import recognise
    from harness.errors import Interrupted
    from harness.training import open_device

    device = open_device(options.device, options.compile)
    about = {"device": device.name, "torch": torch.__version__, "seeds": options.seeds}
    rows = read_rows(options.out)
    if heads := [row for row in rows if "device" in row]:
        if any(head != about for head in heads):
            raise SystemExit(f"{options.out} is of another machine, version or number of seeds: name another file")
    else:
        append(options.out, about)
    done = {(row["set"], row["arm"], row["epochs"], row["images"]) for row in rows if "set" in row}
    arms = {}
    for name, key in ORDER:
        if name in options.sets:
            share = EXPERIMENTS[name].share if options.share is None else options.share
            epochs = options.epochs or max(1, round(share * EXPERIMENTS[name].epochs))
            if (name, key, epochs, options.images) not in done:
                arms[name, key] = make_arm(name, key, epochs, options.images)
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in arms.values()}
    images = {name: recognise(dataset, dataset.load(options.data, say)) for name, dataset in sets.items()}
    try:
        for row in train_arms(arms, images, device, options):
            append(options.out, row)
            say(f"{row['set']}, {row['arm']}: {row['epochs']} epochs in {row['seconds']} s")
    except Interrupted as error:
        say(f"out of time: {error}")


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a line to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="print the tables of what --out wrote, train nothing"
    )
    parser.add_argument("--out", type=Path, help="JSON, a line per arm, added to as it goes")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HARNESS_DATA", "data")), help="data folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", default="auto", help="as for harness run")
    parser.add_argument("--sets", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS), help="default: all")
    parser.add_argument("--share", type=float, help="share of the published epochs; default: that of each set")
    parser.add_argument("--epochs", type=int, help="epochs, in place of a share")
    parser.add_argument("--seconds", type=float, default=300.0, help="stop training after so long")
    parser.add_argument("--work", type=Path, help="folder of checkpoints, to go on from; default: none are kept")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--images", type=int, help="train on so many images only, to try the program")
    options = parser.parse_args(arguments)
    if options.report is None and options.out is None:
        parser.error("give --out, or --report")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Train, or print what was trained."""
    options = parse(arguments)
    if options.report is not None:
        print(word_report(options.report))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.work = options.work or Path(folder)
        options.work.mkdir(parents=True, exist_ok=True)
        measure(options)
    if any("set" in row for row in read_rows(options.out)):
        print(word_report(options.out))


if __name__ == "__main__":
    main()
