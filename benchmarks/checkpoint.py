"""Cost of checkpoints: the same training with checkpoints every few seconds and with none, in alternation.

``--every`` must leave enough time to write a checkpoint, or training waits for the disk, which it never does otherwise.

python benchmarks/checkpoint.py --data data --epochs 60 --every 6            (protocol 1's replicas, needs CUDA)
python benchmarks/checkpoint.py quickstart_digits.yaml --device cpu --epochs 200
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from compare import HERE, say

from harness import spec
from harness.pipeline.run_steps import make_plan
from harness.training import Progress, Run, open_device, train

USUAL = 60.0  # seconds between two checkpoints of ``harness run``


def main() -> None:
    parser = argparse.ArgumentParser(description="Time training with checkpoints and without.")
    parser.add_argument("file", nargs="?", default="mode2_direction.yaml", help="of hypotheses/")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two checkpoints")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = open_device(options.device)
    hypothesis = spec.load(HERE.parent / "hypotheses" / options.file).hypothesis
    arms = {}
    for name, arm in hypothesis.arms.items():
        evaluation = arm.setup.evaluation.model_copy(update={"every_epochs": options.epochs})
        setup = arm.setup.model_copy(update={"epochs": options.epochs, "evaluation": evaluation})
        arms[name] = arm.model_copy(update={"setup": setup})
    plan = make_plan(device, hypothesis.model_copy(update={"arms": arms}), tuple(range(hypothesis.seeds.number)))
    data = setup.dataset
    images = {data.name: data.load(options.data, say)}

    def timed(every: float) -> tuple[float, int]:
        """Return the seconds and the number of checkpoints due, counted as in training, from the first report on."""
        saved: dict[int, float] = {}
        written = [0]

        def note(at: Progress) -> None:
            now = time.monotonic()
            if at.epoch < at.epochs and now - saved.setdefault(at.cohort, now) >= every:
                saved[at.cohort] = now
                written[0] += 1

        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            train(plan, Run(images, device, Path(folder), checkpoint_seconds=every, report=note))
            return time.perf_counter() - start, written[0]

    timed(1e9)  # compiles kernels and warms the file cache
    pairs = [(timed(1e9)[0], timed(options.every)) for _ in range(options.repeats)]
    without = statistics.median(seconds for seconds, _ in pairs)
    with_them = statistics.median(seconds for _, (seconds, _) in pairs)
    number = min(count for _, (_, count) in pairs)
    each = (with_them - without) / max(1, number) * min(device.workers, len(plan.cohorts))
    print(f"{device.name}, {options.file}, {options.epochs} epochs: {without:.2f} s, with {number} checkpoints")
    print(f"{with_them:.2f} s, so {each * 1e3:.0f} ms each: {each / USUAL:.2%} of the {USUAL:.0f} s between two")


if __name__ == "__main__":
    main()
