"""Formats that verdicts and runs are written in for other people's programs: one file each, named for its format.

An exporter reads what is stored, by the same read models as verbs and notebooks, and nothing is ever read back from
what it wrote. Its library is an extra of the distribution and is loaded when something is exported.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness.errors import StorageFailed, UsageError
from harness.system.names import refuse_address, refuse_file_name
from harness.wording import join_words, suggest

if TYPE_CHECKING:
    from harness.ledger import Ledger


class Exporter(ABC):
    """A format; its module binds an instance to the name ``exporter``."""

    about: ClassVar[str]
    """Contents of what is written, in a few words for ``harness export --help``."""
    extra: ClassVar[str | None] = None
    """Extra of the distribution that brings its library; None if it needs none."""
    endings: ClassVar[tuple[str, ...] | None] = ()
    """Endings of the files that it writes where the place is named as one, else it writes a folder; None if it always
    writes a file."""
    shown_by: ClassVar[str | None] = None
    """Command that shows what was written, with ``{out}`` for the place; None if anything does."""
    instead: ClassVar[str] = ""
    """Way to what an address instead of a path asks for; empty if there is none."""

    @abstractmethod
    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write the last verdict on a hypothesis, or that of a run by its first digits; return what was written.

        Raises:
            UsageError: nothing of that name was judged, a library is missing, or something is there already.
            Tampered: the run's files are not those that the ledger names.
        """

    def refuse_missing(self, library: str) -> UsageError:
        """Return the error of a library that is not installed."""
        remedy = f"pip install 'prereg-harness[{self.extra}]'"
        return UsageError(f"{library} is not installed", where="--as", remedy=remedy)


def export_run(name: str, form: str, trail: Ledger, out: str | PathLike[str]) -> tuple[Path, ...]:
    """Write the last verdict on a hypothesis, or that of a run by its first digits, in a format.

    Raises:
        UsageError: there is no such format; the place is an address, or has the name of another format's file; or as
            ``Exporter.write``.
        Tampered: as ``Exporter.write``.
        StorageFailed: it could not be written.
    """
    exporter = find_exporter(form)
    refuse_address(out, "--out", exporter.instead)
    place = Path(out)
    if exporter.endings is not None and place.suffix.lower() not in exporter.endings:
        others = [other for other in list_formats() if place.suffix.lower() in (find_exporter(other).endings or ())]
        endings = f", or a file that ends in {join_words(exporter.endings, 'or')}" if exporter.endings else ""
        also = f"; {' and '.join(f'--as {other}' for other in others)} would write such a file" if others else ""
        refuse_file_name(place, "--out", f"for {form}, name a folder{endings}{also}")
    try:
        return exporter.write(name, trail, place)
    except OSError as error:  # of another library: harness's own writers raise what they mean
        remedy = "check path, permissions and space, and give the same command again; nothing of it was left there"
        message = f"could not be written: {error.strerror or error}"
        raise StorageFailed(message, where=str(error.filename or place), remedy=remedy) from error


def list_formats() -> list[str]:
    """Return the names of all formats, sorted; no exporter is loaded."""
    names = (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return sorted(name.replace("_", "-") for name in names)


@cache
def find_exporter(form: str) -> Exporter:
    """Return the exporter of a format.

    Raises:
        UsageError: there is no such format.
    """
    known = list_formats()
    if form not in known:
        message = f"unknown form {form!r}{suggest(form, known)}"
        raise UsageError(message, where="--as", remedy=f"use {join_words(known, 'or')}")
    found: Exporter = importlib.import_module(f"harness.exporters.{form.replace('-', '_')}").exporter
    return found


def refuse_taken(*paths: Path) -> None:
    """Refuse to write where something is already.

    Raises:
        UsageError: one of the paths is taken.
    """
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UsageError("there is something already", where=str(path), remedy="name a path that is free")
