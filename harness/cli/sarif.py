"""Findings as SARIF 2.1.0 (OASIS), which code hosts and editors show on the lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness import __version__
from harness.cli.places import show_from_top
from harness.errors import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def write_sarif(findings: Sequence[Finding], checks: dict[str, str]) -> dict[str, Any]:
    """Describe one run of this program, with its checks as rules. Columns count code points, as in text output."""
    names = list(checks)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "harness",
                        "version": __version__,
                        "rules": [_describe_rule(name, text) for name, text in checks.items()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_describe_result(finding, names) for finding in findings],
            }
        ],
    }


def _describe_rule(name: str, text: str) -> dict[str, Any]:
    """Describe a check with the texts that GitHub's code scanning asks for beyond the standard."""
    texts = {key: {"text": text} for key in ("shortDescription", "fullDescription")}
    return {"id": name, **texts, "help": {"text": f"harness explain {name}"}}


def _describe_result(finding: Finding, names: list[str]) -> dict[str, Any]:
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    region: dict[str, Any] = {"startLine": finding.line, "startColumn": finding.column}
    if finding.source is not None:
        region["snippet"] = {"text": finding.source}
    return {
        "ruleId": finding.rule,
        "ruleIndex": names.index(finding.rule),
        "level": finding.severity,
        "message": {"text": f"{finding.message}{remedy}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": _write_uri(finding.file)}, "region": region}},
        ],
    }


def _write_uri(file: str) -> str:
    """Write a file's address relative to the repository's top, as code hosts expect it."""
    path = show_from_top(Path(file))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
