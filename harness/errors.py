"""The types of errors: an invalid file, a run that could not happen, a run that was stopped.

Every error says what happened, where, and what to do. Only ``harness.cli`` prints them and turns them into exit codes:
2 for what the user can mend in a file or on the command line, 1 for what stopped the program, 3 for evidence that was
tampered with, 130 for an interrupt (143 and 129 where the signal was SIGTERM or SIGHUP).
"""

from __future__ import annotations

from dataclasses import dataclass


class HarnessError(Exception):
    """One message for a person: what happened, where (file, option, stage) and what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n  → {self.remedy}" if self.remedy else head


class UsageError(HarnessError):
    """An error of the command line or the environment, or a missing data set: nothing was started."""

    exit_code = 2


class NoHypotheses(UsageError):
    """A folder without any hypothesis file, as a new project has one."""


@dataclass(frozen=True, order=True)
class Finding:
    """One problem in a hypothesis file, at a place that an editor can jump to."""

    file: str
    line: int
    column: int
    message: str
    remedy: str | None = None
    source: str | None = None  # the offending line, verbatim
    severity: str = "error"  # or "warning", or "note", which fails nothing
    rule: str = "form"  # which check found it; ``harness explain`` says what each is about

    @property
    def kind(self) -> str:
        """Prefix of the message; only errors have none."""
        return "" if self.severity == "error" else f"{self.severity}: "

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.kind}{self.message}"
        if self.source is not None:
            text += f"\n    {self.source}\n    {' ' * (self.column - 1)}^"
        return f"{text}\n    → {self.remedy}" if self.remedy else text


class InvalidHypothesis(HarnessError):
    """A hypothesis file that breaks the form or a rule, with all findings at once."""

    exit_code = 2

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda f: (f.file, f.line, f.column, f.message)))
        super().__init__("\n".join(str(finding) for finding in self.findings))


class DataMissing(UsageError):
    """A data set that is not in the data folder and can't be downloaded."""


class DeviationRefused(UsageError):
    """A change, after its registration, of a hypothesis or of something that its result depends on."""


class TrainingFailed(HarnessError):
    """A failure of training that resuming will not cure."""


class LaunchFailed(HarnessError):
    """Jobs on other machines that were refused, or ended without results.

    The experiment did not fail, so an attempt stays open, and the same command goes on.
    """


class CompilerFailed(HarnessError):
    """A compiler that is missing, or failed, where steps are to be compiled.

    The experiment did not fail, so an attempt stays open, and the same command goes on once there is one.
    """


class StorageFailed(HarnessError):
    """A file that could not be written (full disk, no permission). No partial file was left under its final name."""


class Tampered(HarnessError):
    """A ledger, or an object or artefact that it names, that is not as written: changed, renamed or missing."""

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        remedy: str | None = "restore it from git or from another clone; what is in the ledger is never edited",
    ) -> None:
        self.expected = expected
        self.got = got
        if expected is not None:
            message = f"{message}: expected {expected}, got {got}"
        super().__init__(message, where=where, remedy=remedy)


class Interrupted(HarnessError):
    """An interruption by the user. Completed training is kept, and the next start resumes it."""

    exit_code = 130
