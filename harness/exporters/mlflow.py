"""A run in a tracking folder of MLflow (extra ``mlflow``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import UsageError
from harness.exporters import Exporter
from harness.exporters._tracked import Tracked, TrackedReplica, list_replicas, read_tracked
from harness.ledger import Ledger
from harness.system.storage import written_whole
from harness.system.variables import use_variables

VARIABLES = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Settings of MLflow: a folder will do, where it would ask for a database, and nobody is to be told."""
NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow takes in no name of a metric."""
MOST = 1000
"""Numbers that MLflow takes at once."""


class MLflow(Exporter):
    """A run of MLflow for the verdict, with its numbers and its page, and one nested in it for each replica.

    The experiment is called as the hypothesis. The folder may hold others. MLflow from 3.17 on opens a folder only if
    the variable ``MLFLOW_ALLOW_FILE_STORE`` is ``true``, for ``mlflow ui --backend-store-uri FOLDER`` and for scripts.
    """

    about: ClassVar[str] = "curves and verdict for MLflow (a tracking folder, which may be there)"
    extra: ClassVar[str | None] = "mlflow"
    shown_by: ClassVar[str | None] = (
        "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {out}   "
        "(MLflow from 3.17 on opens a folder only with this variable, in scripts too)"
    )
    instead: ClassVar[str] = (
        "export to a folder, --out mlruns; from there MLflow's own tool takes it into a database: "
        "mlflow migrate-filestore --source . --target sqlite:///mlflow.db"
    )

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write the runs to a tracking folder."""
        with use_variables(VARIABLES):
            try:
                from mlflow.tracking import MlflowClient
            except ImportError:
                raise self.refuse_missing("mlflow") from None
            tracked = read_tracked(name, trail)
            client = MlflowClient(tracking_uri=out.resolve().as_uri())
            found = client.get_experiment_by_name(tracked.hypothesis)
            experiment = client.create_experiment(tracked.hypothesis) if found is None else found.experiment_id
            same = f"tags.`harness.run` = '{tracked.labels['harness.run']}'"
            if client.search_runs([experiment], filter_string=same, max_results=1):
                remedy = "name another folder"
                raise UsageError(f"run {tracked.run} is there already", where=str(out), remedy=remedy)
            made: list[str] = []
            with written_whole(lambda: [out / experiment / run for run in made]):
                _add_verdict(client, experiment, tracked, made)
                for replica in list_replicas(tracked):
                    _add_replica(client, experiment, tracked, replica, made)
        return (out,)


exporter = MLflow()


def _add_verdict(client: Any, experiment: str, tracked: Tracked, made: list[str]) -> None:
    """Add the run of the verdict; its id comes first in ``made``."""
    time = round(1000 * tracked.started)
    tags = {**tracked.labels, "mlflow.note.content": tracked.page}
    run = client.create_run(experiment, start_time=time, run_name=tracked.run, tags=tags)
    made.append(str(run.info.run_id))
    _log(client, run.info.run_id, [(0, name, value) for name, value in tracked.numbers.items()], time)
    client.set_terminated(run.info.run_id, end_time=time)


def _add_replica(client: Any, experiment: str, tracked: Tracked, replica: TrackedReplica, made: list[str]) -> None:
    time = round(1000 * tracked.started)
    name = f"{tracked.run} {replica.arm} seed {replica.seed_index}"
    run = client.create_run(experiment, start_time=time, run_name=name, tags={"mlflow.parentRunId": made[0]})
    made.append(str(run.info.run_id))
    about = {"arm": replica.arm, "seed_index": replica.seed_index, "seed": replica.seed, "status": replica.status}
    for key, value in about.items():
        client.log_param(run.info.run_id, key, value)
    _log(client, run.info.run_id, list(replica.points), time)
    status = "FAILED" if replica.status == "failed" else "FINISHED"
    client.set_terminated(run.info.run_id, status=status, end_time=time)


def _log(client: Any, run: str, points: list[tuple[int, str, float]], time: int) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(NOT_IN_NAMES.sub("_", name), value, time, epoch) for epoch, name, value in points]
    for start in range(0, len(metrics), MOST):
        client.log_batch(run, metrics=metrics[start : start + MOST])
