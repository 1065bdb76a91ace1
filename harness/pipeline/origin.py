"""The origin of this very harness: a package index, an address that everybody reaches, or a place on this machine.

pip notes where it installed a distribution from (PEP 610); what came from an index has no such note.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import harness

DISTRIBUTION = "prereg-harness"
"""Name of this package on the index, where ``harness`` is somebody else's project."""
LOCAL = "file"


@dataclass(frozen=True)
class Origin:
    """A place that this harness was installed from."""

    requirement: str
    """Requirement by which others get it, as pyproject.toml has it."""
    source: Path | None = None
    """Checkout or wheel on this machine, which others have not; None if it came from elsewhere."""


def find_origin() -> Origin:
    """Find out where this harness was installed from."""
    try:
        note = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:  # it is read from a checkout, and installed nowhere
        return _name(Path(harness.__file__).resolve().parents[1].as_uri(), "")
    try:
        told = json.loads(note) if note is not None else None
        if told is None:
            return Origin(f"{DISTRIBUTION}>={harness.__version__}")
        source = told.get("vcs_info") or {}
        return _name(str(told["url"]), f"{source['vcs']}+{told['url']}@{source['commit_id']}" if source else "")
    except (ValueError, KeyError, TypeError, AttributeError):  # whoever wrote that is no installer that is known here
        return Origin(f"{DISTRIBUTION}>={harness.__version__}")


def _name(url: str, pinned: str) -> Origin:
    parts = urlsplit(url)
    if parts.scheme == LOCAL:
        return Origin(f"{DISTRIBUTION}>={harness.__version__}", Path(unquote(parts.path)))
    return Origin(f"{DISTRIBUTION} @ {pinned or url}")
