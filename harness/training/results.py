"""The log of a cohort in training (values, divergences) and its results (series, digests, saved tensors)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from harness.metrics import Metric
from harness.plugins.registry import find_members
from harness.records import ReplicaResult, Series, Setup
from harness.system.storage import write_atomic
from harness.training.checkpoint import serialise
from harness.training.evaluate import is_defined
from harness.training.program import Program


def select_metrics(setup: Setup) -> list[Metric]:
    """Return the metrics that the setup names."""
    kinds = find_members("metrics")
    return [cast("Metric", kinds[name](name=name)) for name in setup.evaluation.metrics]


def new_log(replicas: int) -> dict[str, Any]:
    """Return an empty log in the form of a checkpoint: epochs, values ``[epoch][replica][layer]``, divergences."""
    return {"epochs": [], "values": {}, "diverged": [None] * replicas}


def record_divergence(log: dict[str, Any], finite: np.ndarray, epoch: int) -> None:
    """Record the epoch for replicas that just stopped being finite."""
    log["diverged"] = [
        epoch if before is None and not fine else before for before, fine in zip(log["diverged"], finite, strict=True)
    ]


def record_values(log: dict[str, Any], epoch: int, measured: dict[str, dict[str, np.ndarray]]) -> None:
    """Append an epoch's values; non-finite values and all values of diverged replicas become None."""
    log["epochs"].append(epoch)
    for metric, summaries in measured.items():
        for summary, values in summaries.items():
            rows = [
                [None if diverged is not None or not np.isfinite(value) else float(value) for value in row]
                for row, diverged in zip(values, log["diverged"], strict=True)
            ]
            log["values"].setdefault(metric, {}).setdefault(summary, []).append(rows)


def finish(program: Program, log: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the results of a trained cohort; save the weights and feedback that the setup asks for."""
    state = program.state
    weights = {name: tensor.detach().cpu() for name, tensor in state.params.items()}
    measured = {metric.name: metric for metric in select_metrics(state.setup)}

    def finish_replica(r: int) -> tuple[dict[str, Any], dict[str, str]]:
        replica, group = state.cohort.replicas[r], state.find_rule_group(r)
        digest = hashlib.sha256()
        for name in sorted(weights):
            digest.update(weights[name][r].contiguous().numpy().data)
        series = {
            metric: Series(
                epochs=tuple(log["epochs"]),
                values={summary: tuple(tuple(rows[r]) for rows in epochs) for summary, epochs in summaries.items()},
            )
            for metric, summaries in log["values"].items()
            if is_defined(measured[metric], group.rule)
        }
        diverged = log["diverged"][r]
        result = ReplicaResult(
            arm=replica.arm,
            seed_index=replica.seed_index,
            seed=replica.seed,
            status="finished" if diverged is None else "diverged",
            diverged_epoch=diverged,
            weights_sha256=digest.hexdigest(),
            metrics=series,
        )
        return result.model_dump(mode="json"), save_tensors(program, weights, r, folder)

    with ThreadPoolExecutor() as pool:  # hashing and writing release the GIL
        results = list(pool.map(finish_replica, range(state.replicas)))
    saved = {name: digest for _, files in results for name, digest in files.items()}
    return {"replicas": [result for result, _ in results], "weights": saved}


def save_tensors(program: Program, weights: Mapping[str, Tensor], r: int, folder: Path) -> dict[str, str]:
    """Save a replica's tensors as the setup asks; return file → SHA-256."""
    replica, group = program.state.cohort.replicas[r], program.state.find_rule_group(r)
    tensors = {f"weights/{name}": tensor[r].contiguous() for name, tensor in weights.items()}
    own = r - group.replicas.start
    tensors |= {f"feedback/{name}": tensor[own].cpu().contiguous() for name, tensor in group.feedback.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if name.split("/")[0] in program.state.setup.save}
    if not tensors:
        return {}
    name = f"{replica.arm}/{replica.seed_index}.safetensors"
    data = b"".join(serialise(tensors, {"arm": replica.arm, "seed": str(replica.seed)}))
    write_atomic(folder / name, data)
    return {name: hashlib.sha256(data).hexdigest()}
