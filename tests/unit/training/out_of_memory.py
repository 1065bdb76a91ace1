"""Train eight wide replicas on a card of which this process may take so much: ``… MEGABYTES FOLDER``. For a test.

What was told, and the seeds that were trained, are the last line of standard output.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from harness.training import Run, open_device, train
from tests.unit.training.training_inputs import arm, cohort, digits, planned


def main(megabytes: int, folder: Path) -> None:
    wide = {"model": {"name": "residual_mlp", "width": 1024, "blocks": 4}, "epochs": 1}
    plan = planned(cohort({"dfa": arm("dfa", setup=wide)}, list(range(8))))
    said: list[str] = []
    device = replace(open_device("cuda:0"), workers=1)
    torch.cuda.set_per_process_memory_fraction(megabytes * 1e6 / torch.cuda.get_device_properties(0).total_memory)
    done = train(
        plan, Run({"digits": digits()}, device, folder, report=lambda at: said.extend(filter(None, [at.message])))
    )
    seeds = [replica.seed for replica in done.replicas]
    print(json.dumps({"said": said, "cohorts": list(done.cohorts), "seeds": seeds}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
