"""What an audit can find: every finding has a name, and the name says what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.ledger.git import REMEDIES

Kind = Literal["tampered", "differs", "missing", "open", "unchecked", "note"]
EXIT: dict[Kind, int] = {"tampered": 3, "differs": 4, "missing": 5, "open": 5, "unchecked": 0, "note": 0}
"""tampered: what is there is not what was written. differs: a recomputation comes to something else. missing: evidence
is not here, so that a promise cannot be checked. open: something was begun and not ended. unchecked: nobody
asked for it, so that it is no PASS. note: worth knowing."""

RESTORE = "restore it from git or from another clone; what is in the trail is never edited"


class Sort(NamedTuple):
    """A sort of finding."""

    step: int
    kind: Kind
    remedy: str


SORTS: dict[str, Sort] = {
    # 1: canonical bytes, names, parents
    "not-a-file": Sort(1, "tampered", "put the file itself there; a trail holds no links and no devices"),
    "unreadable": Sort(1, "missing", "check the file's permissions and size"),
    "event-name": Sort(1, "tampered", "give it back its name (git status shows it), or move it elsewhere"),
    "event-bytes": Sort(1, "tampered", RESTORE),
    "event-form": Sort(1, "tampered", RESTORE),
    "event-version": Sort(1, "missing", "update harness"),
    "event-type": Sort(1, "note", "update harness to have it judged"),
    "parent-missing": Sort(1, "tampered", RESTORE),
    "object-bytes": Sort(1, "tampered", RESTORE),
    "line-ends": Sort(1, "tampered", "write the files back: harness audit --restore"),
    "left-out": Sort(1, "missing", "have git put the trail here: git sparse-checkout add"),
    "no-events": Sort(1, "missing", "name the trail with --verdicts; the first registration begins one"),
    # 2: git history
    "no-history": Sort(2, "missing", "audit a full clone of the project's repository"),
    "no-git": Sort(2, "missing", REMEDIES["no git"]),
    "no-repository": Sort(2, "missing", "audit a full clone of the project's repository"),
    "no-commit": Sort(2, "missing", REMEDIES["no commit yet"]),
    "outside-repository": Sort(2, "missing", REMEDIES["outside the repository"]),
    "git-refuses": Sort(2, "missing", REMEDIES["git says no"]),
    "ignored": Sort(2, "missing", "have git take the trail in, then commit it"),
    "partial": Sort(2, "missing", "fetch what the clone lacks, then audit again"),
    "history-ends": Sort(2, "tampered", "commit the trail as it was written"),
    "shallow": Sort(2, "missing", "fetch the rest of the history, then audit again"),
    "removed": Sort(2, "tampered", "restore it: git checkout <commit> -- <file>"),
    "changed": Sort(2, "tampered", "restore it: git checkout <commit> -- <file>"),
    "attempts-elsewhere": Sort(2, "missing", "merge the branch that holds them: events never conflict"),
    "events-elsewhere": Sort(2, "note", "merge the branch that holds them, or audit it too"),
    "other-version": Sort(2, "note", "look at it with git log --full-history -- <file>"),
    "uncommitted": Sort(2, "note", "commit and push: until then only this folder knows of them"),
    # 3: registration, attempts, amendments
    "not-registered-before": Sort(
        3, "tampered", "no remedy: what was not registered before it was run confirms nothing"
    ),
    "registered-again": Sort(3, "tampered", "no remedy: the first registration counts; give a new question a new id"),
    "registered-side-by-side": Sort(3, "open", "give one of the two questions a new id; neither is provably the first"),
    "reference": Sort(3, "tampered", RESTORE),
    "meaning-changed": Sort(3, "tampered", "run what was registered, or amend it with a reason first"),
    "deviation-unnamed": Sort(3, "tampered", "run it again with a harness that names what differs"),
    "run-open": Sort(3, "open", "resume it: harness run; or close it with a reason: harness close"),
    "looks": Sort(3, "tampered", "harness reverdict says which look the results are of"),
    "run-unjudged": Sort(3, "open", "give the harness run command again: it judges what is there"),
    "closed-twice": Sort(3, "open", "look at both events; the first in ledger order counts"),
    "judged-twice": Sort(3, "tampered", "harness reverdict says which of them follows from the results"),
    "not-finished-before": Sort(3, "tampered", "harness reverdict says whether the verdict follows from the results"),
    "attempts-hidden": Sort(3, "tampered", "read the attempts here, not on that page"),
    "deviations-hidden": Sort(3, "tampered", "read the deviations in the run_started event, not on that page"),
    "page-otherwise": Sort(3, "tampered", "believe the events, not that page"),
    "amendment-attempts": Sort(3, "tampered", "read the attempts here, not in that amendment"),
    "amendment-untold": Sort(3, "tampered", "believe the forms, not its differences: runs under it may deviate unsaid"),
    "amendment-seeds": Sort(3, "tampered", "no remedy: a new question under a new id has fresh seeds"),
    "amended": Sort(3, "note", "read its reason: harness show HYPOTHESIS --history"),
    "deviated": Sort(3, "note", "read them on the verdict's page"),
    "registered-elsewhere": Sort(3, "missing", "audit that trail too: it has its own draw of seeds and attempts"),
    "registered-by-another": Sort(3, "note", "if it asks the same question, it is another draw of seeds: audit it too"),
    "not-searched": Sort(3, "note", "audit other trails by name: --verdicts"),
    "near-duplicate": Sort(3, "note", "compare the two files: the same question asked twice is one more attempt"),
    # 4: artefacts
    "object-missing": Sort(4, "missing", RESTORE),
    "artefact-missing": Sort(4, "missing", "get the run's folder back from git or from whoever ran it"),
    "artefact-bytes": Sort(4, "tampered", "get the file back from git; a verdict is never edited"),
    "artefact-unnamed": Sort(4, "tampered", "harness reverdict says whether the verdict follows from the results"),
    "weights-bytes": Sort(4, "tampered", "get the file back from whoever ran it, or remove it"),
    "weights-absent": Sort(4, "note", "train them again: harness replicate RUN"),
    "orphan-run": Sort(4, "tampered", "find its run_started event in another clone, or move the folder elsewhere"),
    "stray": Sort(4, "note", "no event names it: nothing can be said about it"),
    "leftover": Sort(4, "note", "a write that was cut off left it; it may be removed"),
    # 5: seeds
    "run-seeds": Sort(5, "tampered", "run it again: a registration's seeds are derived from its event"),
    "results-unreadable": Sort(5, "tampered", RESTORE),
    "results-of-another": Sort(5, "tampered", RESTORE),
    "results-seeds": Sort(5, "tampered", "run it again: a registration's seeds are derived from its event"),
    "results-incomplete": Sort(5, "tampered", "run it again: every arm is trained at every seed"),
    "look-results": Sort(5, "tampered", "harness reverdict says which look the results are of"),
    "results-data": Sort(5, "tampered", "run it again with the registered data"),
    "hand-picked": Sort(5, "note", "let a new registration count its seeds: they are then derived, not chosen"),
    # 6: recomputation
    "text-differs": Sort(6, "tampered", "no remedy: the registered text never meant this"),
    "outcome-differs": Sort(6, "differs", "believe the recomputed outcome, and ask whoever entered the other"),
    "page-differs": Sort(6, "differs", "compare with harness reverdict"),
    "not-recomputed": Sort(6, "differs", "judge it with the version of harness that its env.json names"),
    "replication-differs": Sort(6, "differs", "believe its results, not what it says of them: harness replicate RUN"),
    "walk-back-differs": Sort(6, "differs", "believe the registered implications: harness claims"),
    "file-changed": Sort(6, "tampered", "undo the change, or amend the registration with a reason"),
    "file-missing": Sort(6, "note", "bring it back from git or from the trail's objects: harness check says how"),
    "file-not-compared": Sort(6, "note", "see harness check"),
    "not-asked": Sort(6, "unchecked", "audit with --recompute"),
    "rounded": Sort(6, "note", "another machine adds in another order"),
    "redrawn": Sort(6, "note", "another version of matplotlib draws the same numbers otherwise"),
    # 7: what was kept elsewhere
    "head-unknown": Sort(7, "tampered", "get the ledger from whoever kept that head: this one was cut off or rebuilt"),
    "anchor-of-nothing": Sort(7, "tampered", "get the ledger from whoever kept that anchor"),
    "anchor-bytes": Sort(7, "tampered", RESTORE),
    "anchor-invalid": Sort(7, "tampered", "believe it only from whoever made it"),
    "anchor-missing": Sort(7, "missing", RESTORE),
    "no-anchor": Sort(7, "missing", "anchor a head: harness anchor"),
    "anchor-not-verified": Sort(7, "note", "name whom you trust: --roots CERTIFICATES, --allowed-signers FILE"),
    "nothing-kept": Sort(7, "unchecked", "keep the head that run, register and audit print: --known-head HEAD"),
    # 8: rerun
    "rerun-differs": Sort(8, "differs", "compare devices and versions; then doubt the result"),
    "rerun-failed": Sort(8, "missing", "mend what stopped it and audit again"),
    "not-rerun": Sort(8, "unchecked", "audit with --rerun RUN"),
    "replicated": Sort(8, "note", "what another machine reported is not what this audit saw: --rerun RUN"),
}
SORTS |= {
    f"stopped-{step}": Sort(step, "missing", "this is a defect of harness: report it, with the trail")
    for step in range(1, 9)
}


@dataclass(frozen=True)
class AuditFinding:
    """One thing that an audit found."""

    sort: str
    """Its name in ``SORTS``."""
    what: str
    where: str
    """A file, or an event."""
    expected: str | None = None
    got: str | None = None
    hypothesis: str | None = None
    """Whose promise it concerns; None: the whole trail's."""
    command: str | None = None
    """What to do about this very one, where it can be told."""

    @property
    def step(self) -> int:
        """The step that finds it."""
        return SORTS[self.sort].step

    @property
    def kind(self) -> Kind:
        """What it costs."""
        return SORTS[self.sort].kind

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.command if self.command is not None else SORTS[self.sort].remedy
