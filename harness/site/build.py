"""Building the site into a folder: only what changed is written, and nothing of somebody else's is touched."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.ledger import Ledger
from harness.ledger.audit import AuditReport
from harness.ledger.audit.beside import run_beside
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.garbage import pause_collection
from harness.pipeline.project import Settings
from harness.pipeline.verdicts import JudgedRun
from harness.site.pages import (
    Row,
    Taken,
    make_common,
    write_audit,
    write_check,
    write_claims,
    write_hypothesis,
    write_index,
)
from harness.site.reading import Trail
from harness.site.rendering import ASSETS, find_folder
from harness.site.sources import Looked, digest_file, digest_site, find_below, look_at_files
from harness.site.verdicts import RunView, describe_run
from harness.system.storage import write_atomic

STAMP = ".harness-site.json"
"""File that marks a folder as a site of harness, and says what each of its files was made from."""
FORM = 1
"""Form of that file."""
MANY = 16
"""Pages from which a second process is worth its while."""


@dataclass(frozen=True)
class Built:
    """A built site."""

    written: tuple[str, ...]
    """Files that were written, because they are new or say something else."""
    removed: tuple[str, ...]
    """Files of an earlier build that are no part of the site any more."""
    pages: int
    """Number of pages."""
    problems: tuple[HarnessError, ...]
    """Errors of what could not be shown; the pages say so."""
    ending: int
    """Exit code of the audit that the site reports."""


@pause_collection()
def build_site(
    out: Path, trail: Ledger, hypotheses: Path, title: str = "Verdicts", settings: Settings | None = None
) -> Built:
    """Build the site of a trail, with the hypothesis files in a folder beside it, in the folder ``out``.

    The trail is audited each time, because an audit depends on more than the files that pages are made from: weights,
    git's references and index, other trails. If it says what it said before and no page has changed, nothing is
    written. ``settings`` say where an audit looks for other trails.

    Raises:
        UsageError: ``out`` holds other files than a site's, or lies where it can't.
        Tampered: the ledger's events are not what was written.
        InvalidHypothesis: the claims file is invalid.
        StorageFailed: a file could not be written.
    """
    before = _read_stamp(out, trail, hypotheses)
    code = digest_site()
    known = before if before.get("code") == code else {}  # what this very code found, it need not find again
    looked = look_at_files([trail.root], _map_texts(known, "marks"))
    made = _Site(
        out, Trail(trail, hypotheses, _list_texts(known, "valid")), title, code, (before, known), looked, settings
    )
    pages = made.write()
    removed = _remove_others(out, made.earlier, made.files)
    told = {"form": FORM, "code": code, "files": made.files, "keys": made.keys, "audit": made.said}
    stamp = json.dumps(told | made.remembered | {"marks": looked.marks}, sort_keys=True).encode()
    if digest_file(out / STAMP) != hashlib.sha256(stamp).hexdigest():
        write_atomic(out / STAMP, stamp)  # also if no page was: files may have become old enough to be remembered
    return Built(tuple(made.written), removed, pages, tuple(made.trail.problems), made.ending)


class _Site:
    """A site while it is built."""

    def __init__(
        self,
        out: Path,
        trail: Trail,
        title: str,
        code: str,
        earlier: tuple[Mapping[str, Any], Mapping[str, Any]],
        looked: Looked,
        settings: Settings | None,
    ) -> None:
        """Take, as ``earlier``, the stamp of the build before, and the part of it that this very code found."""
        self.out, self.trail, self.looked, self.settings = out, trail, looked, settings
        self.title, self.code, (self.before, self.known) = title, code, earlier
        self.earlier = _map_texts(self.before, "files")
        """Files of the build before, with their digests."""
        self.files: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.written: list[str] = []
        self.ending, self.said = 0, ""
        self.remembered: dict[str, Any] = {}
        """Findings that the next build by this very code need not find again."""

    @cached_property
    def common(self) -> dict[str, str | None]:
        """Return the values that every page shows."""
        heads = self.trail.ledger.index().heads
        return make_common(self.title, heads[0] if len(heads) == 1 else None)

    def write(self) -> int:
        """Write all files that say something else than before; return the number of pages."""
        with run_beside(self._audit) as audited:  # which takes about as long as all else, the events among it
            self._write_pages()
            for name in ASSETS:
                self._put(name, (find_folder() / name).read_bytes())
            report = audited()
        index = self.trail.ledger.index()
        if (report.events, report.heads) != (len(index.events), index.heads):
            report = self._audit()  # an event came in between: no page may tell of one that the audit didn't see
        self.ending = report.exit_code
        fixed = {entry.body.canonical for entry in index.fixing()}
        self.remembered = {
            "sound": sorted(report.sound),
            "normal_forms": {one: form for one, form in report.normal_forms.items() if one in fixed},
            "valid": sorted(self.trail.valid & fixed),
        }
        self._put_audit(report)
        folder = Path(os.path.realpath(self.trail.ledger.root))
        self._put("check.html", write_check(folder.name, self.common).encode())
        return sum(name.endswith(".html") for name in self.files)

    def _put_audit(self, report: AuditReport) -> None:
        """Write the page of the audit, unless the one that is there says the same, but for when and how it was made."""
        name, root = "audit.html", str(self.trail.ledger.root)
        self.said = hashlib.sha256(write_audit(report, "", root, self.common).encode()).hexdigest()
        if self.before.get("audit") == self.said and self._keep(name):
            return
        found = report.sound & _list_texts(self.known, "sound")
        results = sum(not one.startswith("unlike ") for one in found)  # those are registrations
        taken = Taken(len(self.looked.digests), self.looked.read, results)
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._put(name, write_audit(report, date, root, self.common, taken).encode())

    def _audit(self) -> AuditReport:
        """Audit the trail by the digests that this site is made from.

        Of results whose very bytes this code found sound before, it looks at the digests alone.
        """
        root = self.trail.ledger.root
        asked = AuditRequest(
            remembered=_list_texts(self.known, "sound"),
            normal_forms=_map_texts(self.known, "normal_forms"),
            digests=find_below(self.looked.digests, root),
        )
        return audit_trail(root, self.trail.hypotheses, asked, self.settings)

    def _write_pages(self) -> None:
        """Write the pages that the trail's index gives."""
        rows = [Row(sheet) for sheet in self.trail.sheets]
        self._write_hypotheses(rows)
        self._put("index.html", write_index(rows, self.common).encode())
        self._put("claims.html", write_claims(self.trail, rows, self.common).encode())

    def _write_hypotheses(self, rows: Sequence[Row]) -> None:
        """Write the pages of hypotheses, unless all that a page is made from is as before; of many, half beside us."""
        due, keys = [], _map_texts(self.before, "keys")
        for row in rows:
            name, key = _name_page(row), self._make_key(row)
            self.keys[name] = key
            if keys.get(name) != key or not self._keep(name):
                due.append(row)
        for row, (page, problem) in zip(due, self._render_all(due), strict=True):
            self._put(_name_page(row), page)
            if problem is not None:
                self.trail.problems.append(problem)
                del self.keys[_name_page(row)]  # it may be mended without any change to the ledger

    def _render_all(self, rows: Sequence[Row]) -> list[tuple[bytes, HarnessError | None]]:
        if len(rows) < MANY:
            return [self._render(row) for row in rows]
        half = len(rows) // 2
        with run_beside(lambda: [self._render(row) for row in rows[half:]]) as rest:
            return [*[self._render(row) for row in rows[:half]], *rest()]

    def _render(self, row: Row) -> tuple[bytes, HarnessError | None]:
        """Return the page of a hypothesis, and why its verdict can't be shown, if it can't."""
        run = self.trail.read_judged(row.sheet)
        view = self._describe(run) if isinstance(run, JudgedRun) else run
        form = self.trail.read_form(row.sheet)
        page = write_hypothesis(row, form, view, {**self.common, "head": None}).encode()
        return page, view if isinstance(view, HarnessError) else None

    def _make_key(self, row: Row) -> str:
        """Digest all that the page of a hypothesis is made from."""
        common = {key: value for key, value in self.common.items() if key != "head"}
        recorded = self.trail.list_recorded(row.sheet)
        # Its events are named, and say what is registered, if it can be read. Records take long to write themselves.
        sheet = replace(row.sheet, outline=None, moments=())
        told = f"{sheet!r} {list(map(vars, row.sheet.moments))} {row.sheet.outline is None}"
        parts = (self.code, told, repr(sorted(recorded.items())), repr(common), self._look_at(row, recorded))
        return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()

    def _describe(self, run: JudgedRun) -> RunView | HarnessError:
        """Describe a run, unless its files say what can't be: their author had the ledger name them all the same."""
        try:
            return describe_run(run)
        except Exception as error:  # a hostile trail may do anything but end a site
            told = f"its numbers do not fit its registration: {type(error).__name__}: {error}"
            return HarnessError(told, where=str(run.stored.folder), remedy="harness audit --recompute")

    def _look_at(self, row: Row, recorded: Mapping[str, str]) -> str:
        """Return what the files of a run are by their own bytes, whatever the ledger says."""
        if row.judged is None:
            return ""
        folder = self.trail.ledger.root / row.id / row.judged.run
        paths = (os.path.join(folder, name) for name in sorted(recorded))  # noqa: PTH118 (thousands of them)
        return "\n".join(self.looked.digests.get(path, "-") for path in paths)

    def _keep(self, name: str) -> bool:
        """Keep a file of the earlier build if it is still what that build wrote; tell whether it is.

        Somebody may have edited it, or a build wrote it that ended before it wrote its stamp.
        """
        written = self.earlier.get(name)
        if written is None or digest_file(self.out / name) != written:
            return False
        self.files[name] = written
        return True

    def _put(self, name: str, data: bytes) -> None:
        """Write a file of the site, unless it is there as it should be."""
        self.files[name] = hashlib.sha256(data).hexdigest()
        path = self.out / name
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)
            self.written.append(name)


def _name_page(row: Row) -> str:
    return f"h/{row.id}.html"


def _read_stamp(out: Path, trail: Ledger, hypotheses: Path) -> dict[str, Any]:
    """Read what an earlier build said; nothing if there was none.

    Raises:
        UsageError: the folder is somebody's who would not want a site in it.
    """
    remedy = "name a new folder, or an empty one: harness site OUT"
    if os.path.lexists(out) and not out.is_dir():
        raise UsageError("this is not a folder", where=str(out), remedy=remedy)
    own, root = Path(os.path.realpath(out)), Path(os.path.realpath(trail.root))
    for taken, what in ((root, "the trail"), (Path(os.path.realpath(hypotheses)), "the hypothesis files")):
        if own == taken or own.is_relative_to(taken) or taken.is_relative_to(own):
            raise UsageError(f"this folder and that of {what} lie in one another", where=str(out), remedy=remedy)
    try:
        stamp = json.loads((out / STAMP).read_bytes())
        return stamp if isinstance(stamp, dict) and stamp.get("form") == FORM else {}
    except FileNotFoundError:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError("there are other files here than a site's", where=str(out), remedy=remedy) from None
        return {}
    except (OSError, ValueError, RecursionError):
        return {}


def _list_texts(known: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the texts that a stamp lists under a name; none of what is no list."""
    listed = known.get(name)
    return frozenset(map(str, listed)) if isinstance(listed, list) else frozenset()


def _map_texts(known: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return what a stamp says under a name, text by text; nothing of what is no mapping."""
    found = known.get(name)
    return {key: str(one) for key, one in found.items()} if isinstance(found, dict) else {}


def _remove_others(out: Path, before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Remove the files of an earlier build that are no part of the site any more, if nobody changed them."""
    removed = []
    for name in before:
        path = out / name
        inside = Path(os.path.normpath(path)).is_relative_to(os.path.normpath(out))
        there = name not in now and inside and os.path.isfile(path)  # noqa: PTH113 (whatever a stamp calls it)
        if there and digest_file(path) == before[name]:
            path.unlink()
            removed.append(name)
    return tuple(removed)
