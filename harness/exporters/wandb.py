"""A run as offline runs of Weights & Biases (extra ``wandb``)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from harness.exporters import Exporter, refuse_taken
from harness.exporters._tracked import Tracked, list_replicas, read_tracked
from harness.ledger import Ledger
from harness.system.storage import written_whole


class WeightsAndBiases(Exporter):
    """An offline run for the verdict, and one for each replica, all in one group; nothing is sent.

    ``wandb sync FOLDER/wandb/offline-run-*`` sends them when somebody wants to. The project is called as the
    hypothesis, the group as the run.
    """

    about: ClassVar[str] = "curves and verdict for W&B, offline (a folder, which may be there)"
    extra: ClassVar[str | None] = "wandb"
    shown_by: ClassVar[str | None] = "wandb sync {out}/wandb/offline-run-*"
    instead: ClassVar[str] = "export to a folder, --out wandb-runs; wandb sync sends what is in it to a server"

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write the offline runs below ``out/wandb``."""
        try:
            import wandb
        except ImportError:
            raise self.refuse_missing("wandb") from None
        tracked = read_tracked(name, trail)
        pattern = f"wandb/offline-run-*-{tracked.run}*"
        refuse_taken(*out.glob(pattern))
        out.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True)

        def begin(kind: str, identity: str, config: dict[str, Any]) -> Any:
            return wandb.init(
                mode="offline", dir=str(out), project=tracked.hypothesis, group=tracked.run, job_type=kind, id=identity,
                name=identity, config=config, settings=settings, reinit="create_new",
            )  # fmt: skip

        with written_whole(lambda: out.glob(pattern)):
            _write(tracked, begin)
        return (out / "wandb",)


exporter = WeightsAndBiases()


def _write(tracked: Tracked, begin: Callable[[str, str, dict[str, Any]], Any]) -> None:
    """Write the replicas, and the verdict last."""
    for replica in list_replicas(tracked):
        about = {"arm": replica.arm, "seed_index": replica.seed_index, "seed": replica.seed}
        identity = f"{tracked.run}-{replica.arm}-{replica.seed_index}"
        run = begin("replica", identity, {**about, "status": replica.status})
        for epoch, points in groupby(replica.points, key=lambda point: point[0]):
            run.log({curve: value for _, curve, value in points}, step=epoch)
        run.finish(exit_code=int(replica.status == "failed"))
    run = begin("verdict", tracked.run, dict(tracked.labels))
    run.summary.update({**tracked.numbers, "outcome": tracked.outcome})
    run.finish()
