"""The log of a cohort in training (values, divergences) and its results (series, digests, saved tensors)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from harness.domain.measured import is_defined
from harness.metrics import Metric
from harness.records import ReplicaResult, Series, Setup
from harness.records.readings import Condition
from harness.records.weights import name_weights
from harness.system.storage import write_atomic
from harness.training.checkpoint import digest_tensors, serialise
from harness.training.learned import copy_learned
from harness.training.program import Program
from harness.training.steps.state import EVOLVED


def select_metrics(setup: Setup) -> list[Metric]:
    """Return the metrics that the setup names, each with its parameters."""
    return list(setup.evaluation.measured)


def new_log(replicas: int) -> dict[str, Any]:
    """Return an empty log in the form of a checkpoint: epochs, values ``[epoch][replica][layer]``, ends."""
    return {"epochs": [], "values": {}, "diverged": [None] * replicas, "stopped": [None] * replicas}


def record_divergence(log: dict[str, Any], finite: np.ndarray, epoch: int) -> None:
    """Record the epoch for replicas that just stopped being finite, of those that are still trained."""
    log["diverged"] = [
        epoch if before is None and stopped is None and not fine else before
        for before, stopped, fine in zip(log["diverged"], list_stops(log), finite, strict=True)
    ]


def list_stops(log: dict[str, Any]) -> list[int | None]:
    """Return the epoch at which each replica stopped, None where it did not; earlier versions' logs note none."""
    return list(log.get("stopped") or [None] * len(log["diverged"]))


def record_stops(log: dict[str, Any], until: Condition) -> list[int]:
    """Record that replicas stop at the evaluation that was recorded last, and return which just did."""
    rows = log["values"].get(until.metric, {}).get("value", [])[-until.evaluations :]
    stops = list_stops(log)
    found = []
    for r, before in enumerate(stops):
        values = [row[r][0] for row in rows]
        holds = all(value is not None and until.holds(value) for value in values)
        if before is None and len(values) == until.evaluations and holds:
            stops[r] = log["epochs"][-1]
            found.append(r)
    log["stopped"] = stops
    return found


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
    read = copy_learned(program.state, program.kept)
    stops = list_stops(log)
    measured = {metric.key: metric for metric in select_metrics(state.setup)}

    def finish_replica(r: int) -> tuple[dict[str, Any], dict[str, str]]:
        replica, group = state.cohort.replicas[r], state.find_rule_group(r)
        weights = read(r)
        count = sum(epoch <= (stops[r] or epoch) for epoch in log["epochs"])
        series = {
            metric: Series(
                epochs=tuple(log["epochs"][:count]),
                values={
                    summary: tuple(tuple(rows[r]) for rows in epochs[:count]) for summary, epochs in summaries.items()
                },
            )
            for metric, summaries in log["values"].items()
            if is_defined(measured[metric], group.rule, state.setup)
        }
        diverged = log["diverged"][r]
        result = ReplicaResult(
            arm=replica.arm,
            seed_index=replica.seed_index,
            seed=replica.seed,
            status="finished" if diverged is None else "diverged",
            diverged_epoch=diverged,
            stopped_epoch=stops[r],
            weights_sha256=digest_tensors(weights),
            metrics=series,
        )
        return result.model_dump(mode="json"), save_tensors(program, weights, r, folder)

    with ThreadPoolExecutor() as pool:  # hashing and writing release the GIL
        results = list(pool.map(finish_replica, range(state.replicas)))
    saved = log.get("kept", {}) | {name: digest for _, files in results for name, digest in files.items()}
    return {"replicas": [result for result, _ in results], "weights": saved}


def keep_weights(program: Program, log: dict[str, Any], epoch: int, folder: Path) -> None:
    """Save all replicas' weights after an epoch before the last, and record file → SHA-256 in the log.

    A replica that has stopped keeps those of its stop. A run that goes on from a checkpoint before it saves the same
    bytes again.
    """
    read = copy_learned(program.state, program.kept)

    def save(r: int) -> dict[str, str]:
        return save_tensors(program, read(r), r, folder, epoch)

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(save, range(program.state.replicas)))
    log.setdefault("kept", {}).update({name: digest for files in found for name, digest in files.items()})


def save_tensors(
    program: Program, weights: Mapping[str, Tensor], r: int, folder: Path, epoch: int | None = None
) -> dict[str, str]:
    """Save a replica's tensors as the setup asks, after ``epoch`` only its weights; return file → SHA-256.

    What its rule has trained along or changed is part of the weights.
    """
    replica, group = program.state.cohort.replicas[r], program.state.find_rule_group(r)
    tensors = {f"weights/{name}": tensor.contiguous() for name, tensor in weights.items()}
    own = r - group.replicas.start
    if epoch is None:  # it is the same after every epoch, unless the rule changes it: then it is part of the weights
        last = {name: weights.get(f"{EVOLVED}{name}", tensor[own]) for name, tensor in group.feedback.items()}
        tensors |= {f"feedback/{name}": tensor.cpu().contiguous() for name, tensor in last.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if name.split("/")[0] in program.state.setup.save}
    if not tensors:
        return {}
    name = name_weights(replica.arm, replica.seed_index, epoch)
    data = b"".join(serialise(tensors, {"arm": replica.arm, "seed": str(replica.seed)}))
    write_atomic(folder / name, data)
    return {name: hashlib.sha256(data).hexdigest()}
