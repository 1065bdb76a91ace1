"""Step 1: canonical bytes, names that are digests, parents that exist."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ledger.audit.artefacts import list_named_objects
from harness.ledger.audit.evidence import DIGEST, EVENTS, OBJECTS, Evidence
from harness.ledger.audit.files import is_unlisted
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.mending import CHANGED, write_repair
from harness.wording import format_count

PROMISE = "every event and object is, to the byte, what its name says, and no event's parent is missing"


def _report_known_causes(evidence: Evidence) -> Iterator[AuditFinding]:
    """Tell once what happened to many files at once: line ends that were changed, files that were left out."""
    root = str(evidence.files.root)
    if changed := evidence.mended:
        count = format_count(len(changed), "file")
        what = f"{count}, first {next(iter(changed))}: {CHANGED}"
        yield AuditFinding("line-ends", what, root, command=write_repair(evidence.files.root))
    here = evidence.files.paths
    named = {f"{OBJECTS}{digest}" for _, digest in list_named_objects(evidence)}
    parents = {f"{EVENTS}{parent}.json" for event in evidence.index.events for parent in event.parents}
    missing = evidence.cut or not ({*evidence.files.expected, *named, *parents} <= here)
    if missing and evidence.lacking is not None:
        yield AuditFinding("left-out", evidence.lacking.what, root, command=evidence.lacking.remedy)


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check single events and objects."""
    yield from evidence.problems
    yield from _report_known_causes(evidence)
    files = evidence.files
    if not evidence.index.events and not evidence.problems and not evidence.cut:
        what = "no event is here: nothing was registered in this trail, and there is nothing to check"
        yield AuditFinding("no-events", what, str(files.root))
    closed = "a folder that can't be read ({}): nothing can be said of what is in it"
    remedy = "audit as a user who may read it, or have its owner allow it"
    odd: list[tuple[str, str, str, str | None]] = [
        (path, "unreadable", closed.format(why), remedy) for path, why in files.closed.items()
    ]
    odd += [
        (path, "not-a-file", f"{what} {'lies in' if path else 'stands for'} the trail; it was not followed", None)
        for path, what in files.odd.items()
        if not is_unlisted(path)
    ]
    for path, code, what, command in sorted(odd):
        yield AuditFinding(code, what, files.shown(path).rstrip("/"), command=command)
    read = evidence.index.digests
    there = {path.removeprefix(EVENTS).removesuffix(".json") for path in files.paths if path.startswith(EVENTS)}
    for event in evidence.index.events:
        for parent in event.parents:
            if parent not in read and parent not in there:  # one that is there and not readable was named already
                if evidence.left_out(f"{EVENTS}{parent}.json"):
                    continue
                what = f"event {event.digest} names a parent that is not in the ledger"
                yield AuditFinding("parent-missing", what, evidence.at(parent), parent, "no such file")
        if event.content is None:
            what = f"an event of type {event.type!r}, which this version does not know"
            yield AuditFinding("event-type", what, evidence.at(event.digest))
    for path in files.below(OBJECTS.rstrip("/")):
        digest = path.removeprefix(OBJECTS)
        if not DIGEST.fullmatch(digest):
            continue  # step 4 lists it
        try:
            got = files.digest(path)
        except OSError as error:
            what = f"an object that cannot be read: {error.strerror or error}"
            yield AuditFinding("unreadable", what, files.shown(path))
            continue
        if got != digest:
            what = "a registered object is not what its name says"
            yield AuditFinding("object-bytes", what, files.shown(path), digest, got)
