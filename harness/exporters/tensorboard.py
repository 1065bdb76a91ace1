"""A run as TensorBoard's event files (extra ``tensorboard``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from harness.exporters import Exporter, refuse_taken
from harness.exporters._tracked import Tracked, list_replicas, read_tracked
from harness.ledger import Ledger
from harness.system.storage import written_whole


class TensorBoard(Exporter):
    """A folder per replica with its curves over epochs, and one with the verdict's page and numbers.

    They lie below ``<hypothesis>/<run>/`` in the folder that is named, which may hold others: ``tensorboard --logdir``
    shows all of them. TensorBoard keeps numbers in single precision.
    """

    about: ClassVar[str] = "curves and verdict for TensorBoard (a log folder, which may be there)"
    extra: ClassVar[str | None] = "tensorboard"
    shown_by: ClassVar[str | None] = "tensorboard --logdir {out}"

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write the event files below ``out/<hypothesis>/<run>``."""
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise self.refuse_missing("tensorboard") from None
        tracked = read_tracked(name, trail)
        folder = out / tracked.hypothesis / tracked.run
        refuse_taken(folder)
        with written_whole(lambda: [folder]):
            for replica in list_replicas(tracked):
                writer = EventFileWriter(str(folder / replica.arm / f"seed-{replica.seed_index}"))
                for epoch, curve, value in replica.points:
                    writer.add_event(_make_event(tracked, epoch, _make_scalar(curve, value)))
                writer.close()
            writer = EventFileWriter(str(folder / "verdict"))
            for summary in _sum_up(tracked):
                writer.add_event(_make_event(tracked, 0, summary))
            writer.close()
        return (folder,)


exporter = TensorBoard()


def _sum_up(tracked: Tracked) -> list[Any]:
    """Return the verdict as summaries: its page and what identifies it as texts, its numbers as scalars."""
    from tensorboard.plugins.text.summary_v2 import text_pb

    texts = {"verdict": tracked.page, **tracked.labels}
    scalars = [_make_scalar(f"verdict/{name}", value) for name, value in tracked.numbers.items()]
    return [*(text_pb(tag, text) for tag, text in texts.items()), *scalars]


def _make_scalar(tag: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value)])


def _make_event(tracked: Tracked, step: int, summary: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=tracked.started, step=step, summary=summary)
