"""The findings of an audit: each has a code, and the code has a step, a severity and a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.ledger.git import REMEDIES

Severity = Literal["tampered", "differs", "missing", "open", "unchecked", "note"]
EXIT: dict[Severity, int] = {"tampered": 3, "differs": 4, "missing": 5, "open": 5, "unchecked": 0, "note": 0}
"""tampered: what is there is not what was written. differs: a recomputed result differs. missing: evidence
is not here, so that a promise cannot be checked. open: something was begun and not ended. unchecked: nobody
asked for it, so that it is no PASS. note: worth knowing."""

INSTALL = "install the package that brings the plug-in, then audit again"
RESTORE = "restore it from git or from another clone; what is in the trail is never edited"


class Code(NamedTuple):
    """A kind of finding."""

    step: int
    """The step that finds it."""
    severity: Severity
    """The gravity, which determines the exit code."""
    remedy: str
    """A remedy, where no better one is known."""


CODES: dict[str, Code] = {
    # 1: canonical bytes, names, parents
    "not-a-file": Code(1, "tampered", "put the file itself there; a trail holds no links, pipes or devices"),
    "unreadable": Code(1, "missing", "check the file's permissions and size"),
    "event-name": Code(1, "tampered", "give it back its name (git status shows it), or move it elsewhere"),
    "event-bytes": Code(1, "tampered", RESTORE),
    "event-form": Code(1, "tampered", RESTORE),
    "event-version": Code(1, "missing", "update harness"),
    "event-type": Code(1, "note", "update harness to have it judged"),
    "parent-missing": Code(1, "tampered", RESTORE),
    "object-bytes": Code(1, "tampered", RESTORE),
    "line-ends": Code(1, "tampered", "write the files back: harness audit --restore"),
    "left-out": Code(1, "missing", "have git put the trail here: git sparse-checkout add"),
    "no-events": Code(1, "missing", "name the trail with --verdicts; the first registration begins one"),
    "nothing-yet": Code(1, "note", "the first registration begins one"),
    # 2: git history
    "no-history": Code(2, "missing", "audit a full clone of the project's repository"),
    "no-git": Code(2, "missing", REMEDIES["no git"]),
    "no-repository": Code(2, "missing", "audit a full clone of the project's repository"),
    "no-commit": Code(2, "missing", REMEDIES["no commit yet"]),
    "outside-repository": Code(2, "missing", REMEDIES["outside the repository"]),
    "git-refuses": Code(2, "missing", REMEDIES["git says no"]),
    "ignored": Code(2, "missing", "exempt the trail from the ignore rule, then add and commit it"),
    "partial": Code(2, "missing", "fetch what the clone lacks, then audit again"),
    "history-ends": Code(2, "tampered", "commit the trail as it was written"),
    "shallow": Code(2, "missing", "fetch the rest of the history, then audit again"),
    "removed": Code(2, "tampered", "restore it: git checkout <commit> -- <file>"),
    "changed": Code(2, "tampered", "restore it: git checkout <commit> -- <file>"),
    "attempts-elsewhere": Code(2, "missing", "merge the branch that holds them: events never conflict"),
    "other-ledger": Code(
        2, "missing", "a project has one trail: audit that one too, --verdicts, and say why it is there"
    ),
    "ledger-beside": Code(2, "note", "it was not audited: --verdicts"),
    "history-unread": Code(2, "missing", "mend what git says, or audit a clone of your own"),
    "objects-unread": Code(2, "unchecked", "audit where git can tell all that it has"),
    "events-elsewhere": Code(2, "note", "merge the branch that holds them, or audit it too"),
    "other-version": Code(2, "note", "look at it with git log --full-history -- <file>"),
    "uncommitted": Code(2, "note", "commit and push: until then only this folder knows of them"),
    # 3: registration, attempts, amendments
    "not-registered-before": Code(
        3, "tampered", "no remedy: what was not registered before it was run confirms nothing"
    ),
    "registered-again": Code(3, "tampered", "no remedy: the first registration counts; give a new question a new id"),
    "registered-side-by-side": Code(3, "open", "give one of the two questions a new id; neither is provably the first"),
    "reference": Code(3, "tampered", RESTORE),
    "meaning-changed": Code(3, "tampered", "run what was registered, or amend it with a reason first"),
    "meaning-unread": Code(3, "missing", INSTALL),
    "deviation-unnamed": Code(3, "tampered", "run it again with a harness that names what differs"),
    "link-untold": Code(3, "tampered", "believe its exports, not its deviations: it was trained outside harness"),
    "link-otherwise": Code(3, "tampered", "believe the event and git, not that page: harness replicate RUN"),
    "link-unchecked": Code(3, "note", "fetch the commit that the runs name, then audit again"),
    "link-known": Code(3, "note", "read the verdict as one whose result was known when it was entered"),
    "linked": Code(3, "note", "have somebody run the registered program: harness replicate RUN"),
    "proof-unfounded": Code(3, "tampered", "do not rely on this sentence: harness replicate RUN shows what differs"),
    "run-open": Code(3, "open", "resume it: harness run; or close it with a reason: harness close"),
    "attempts-disagree": Code(
        3, "differs", "train it again and see which of them comes out: harness replicate RUN; doubt the other"
    ),
    "attempts-differ": Code(3, "note", "what else was not the same may be why: harness replicate RUN"),
    "code-not-of-commit": Code(
        3, "differs", "ask whoever ran it for the code, or train it again: harness replicate RUN"
    ),
    "code-not-compared": Code(3, "note", "audit in a clone whose history holds the commit; or harness replicate RUN"),
    "company-otherwise": Code(3, "tampered", "believe the registrations: harness replicate RUN shows what comes out"),
    "company-unstarted": Code(
        3, "tampered", "ask why: whoever had read its values could leave it unrun because of them"
    ),
    "tuned": Code(3, "tampered", "harness reverdict says what follows from the search"),
    "looks": Code(3, "tampered", "harness reverdict says which look the results are of"),
    "run-unjudged": Code(3, "open", "give the harness run command again: it judges what is there"),
    "resumed": Code(3, "note", "harness show HYPOTHESIS --history tells when"),
    "given-up-late": Code(3, "note", "ask why: whoever had read its values could close it because of them"),
    "closed-twice": Code(3, "open", "look at both events; the first in ledger order counts"),
    "judged-twice": Code(3, "tampered", "harness reverdict says which of them follows from the results"),
    "not-finished-before": Code(3, "tampered", "harness reverdict says whether the verdict follows from the results"),
    "attempts-hidden": Code(3, "tampered", "read the attempts here, not on that page"),
    "deviations-hidden": Code(3, "tampered", "read the deviations in the run_started event, not on that page"),
    "page-otherwise": Code(3, "tampered", "believe the events, not that page"),
    "siblings-hidden": Code(3, "tampered", "see harness claims and harness list for them, not that page"),
    "siblings-untold": Code(3, "note", "see what became of them: harness claims, harness list"),
    "page-unreadable": Code(3, "missing", "update harness if a later one wrote it; until then, believe the events"),
    "amendment-attempts": Code(3, "tampered", "read the attempts here, not in that amendment"),
    "amendment-untold": Code(3, "tampered", "believe the forms, not its differences: runs under it may deviate unsaid"),
    "amendment-seeds": Code(3, "tampered", "no remedy: a new question under a new id has fresh seeds"),
    "amended": Code(3, "note", "read its reason: harness show HYPOTHESIS --history"),
    "deviated": Code(3, "note", "read them on the verdict's page"),
    "peeked": Code(3, "note", "prior data: what was decided after it may have been decided because of it"),
    "undeclared": Code(3, "differs", "read its outcome as one on prior data that were analysed: it does not say so"),
    "registered-elsewhere": Code(3, "missing", "audit that trail too: it has its own draw of seeds and attempts"),
    "registered-by-another": Code(3, "note", "if it asks the same question, it is another draw of seeds: audit it too"),
    "not-searched": Code(3, "note", "audit other trails by name: --verdicts"),
    "near-duplicate": Code(3, "note", "compare the two files: the same question asked twice is one more attempt"),
    # 4: artefacts
    "object-missing": Code(4, "missing", RESTORE),
    "artefact-missing": Code(4, "missing", "get the run's folder back from git or from whoever ran it"),
    "artefact-bytes": Code(4, "tampered", "get the file back from git; a verdict is never edited"),
    "artefact-unnamed": Code(4, "tampered", "harness reverdict says whether the verdict follows from the results"),
    "weights-bytes": Code(4, "tampered", "get the file back from whoever ran it, or remove it"),
    "weights-absent": Code(4, "note", "train them again: harness replicate RUN"),
    "initial-otherwise": Code(4, "tampered", "run it again: it did not start from the weights that it names"),
    "initial-unchecked": Code(4, "missing", "audit the trail that holds the run whose weights it started from"),
    "measured-otherwise": Code(
        4, "tampered", "do not rely on this measurement; repeat it: harness measure RUN, with the run's weights"
    ),
    "measured-unchecked": Code(4, "missing", RESTORE),
    "measured": Code(4, "note", "exploratory: what another machine measured is not what this audit saw"),
    "explored-otherwise": Code(
        4, "tampered", "do not rely on this exploration; repeat it with its files: harness explore"
    ),
    "explored-unchecked": Code(4, "missing", RESTORE),
    "explored": Code(4, "note", "exploratory: prior data to whoever registers the question later"),
    "program-otherwise": Code(4, "tampered", "believe the event, not that page"),
    "program-missing": Code(4, "missing", "fetch the commit that it names, or use a full clone"),
    "program-unchecked": Code(4, "note", "audit it in a clone of the project's repository"),
    "output-bytes": Code(4, "tampered", "get the file back from whoever ran it, or remove it"),
    "orphan-run": Code(4, "tampered", "find its run_started event in another clone, or move the folder elsewhere"),
    "stray": Code(4, "note", "no event names it: nothing can be said about it"),
    "leftover": Code(4, "note", "a write that was cut off left it; it may be removed"),
    # 5: seeds
    "run-seeds": Code(5, "tampered", "run it again: a registration's seeds are derived from its event"),
    "results-unreadable": Code(5, "tampered", RESTORE),
    "results-of-another": Code(5, "tampered", RESTORE),
    "results-seeds": Code(5, "tampered", "run it again: a registration's seeds are derived from its event"),
    "results-incomplete": Code(5, "tampered", "run it again: every arm is trained at every seed"),
    "look-results": Code(5, "tampered", "harness reverdict says which look the results are of"),
    "results-data": Code(5, "tampered", "run it again with the registered data"),
    "data-not-official": Code(5, "tampered", "read the data's row on that page as if it said: not the official files"),
    "data-by-word": Code(5, "note", "load the data with your own files: harness plan, then harness replicate RUN"),
    "seeds-by-word": Code(5, "note", "have somebody run the registered program: harness replicate RUN"),
    "run-undrawn": Code(5, "tampered", "run it again: harness run draws the seeds first"),
    "beacon-otherwise": Code(5, "tampered", "no remedy: register the question under a new id"),
    "draw-of-another": Code(5, "tampered", "no remedy: a new question under a new id has a draw of its own"),
    "drawn-otherwise": Code(
        5, "tampered", "no remedy: the first draw counts; a new question under a new id has its own"
    ),
    "round-refused": Code(5, "tampered", "get the round's record from the beacon itself, or from another clone"),
    "round-otherwise": Code(5, "tampered", "believe the record, not that event: its seeds are not the round's"),
    "round-known": Code(5, "tampered", "no remedy: the registration is later than it says, and its seeds were known"),
    "round-unverified": Code(5, "missing", RESTORE),
    "derivation-unknown": Code(5, "missing", "update harness"),
    "form-unmade": Code(5, "missing", "audit it with the version of harness that drew the seeds"),
    "drawn-twice": Code(5, "note", "nothing: two branches drew the same round"),
    "same-draw": Code(5, "note", "count the two results as one"),
    "drawn-again": Code(5, "note", "count it as one more attempt at the same question"),
    "trusts": Code(5, "note", "judge for yourself whether the author is among these"),
    "key-unknown": Code(5, "note", "ask whose it is; a witness whom you trust goes into --allowed-signers FILE"),
    "shown-before": Code(5, "note", "ask whoever stamped or signed it whether they saw others"),
    "cover-unchecked": Code(5, "note", "audit it where its anchors can be checked"),
    "authors-word": Code(5, "note", "anchor a registration before its round: harness anchor, or publish it"),
    "choosable": Code(5, "note", "name a beacon in the file, under seeds, before a question is registered"),
    "hand-picked": Code(5, "note", "let a new registration count its seeds: they are then derived, not chosen"),
    # 6: recomputation
    "text-differs": Code(6, "tampered", "no remedy: the registered text never meant this"),
    "text-unread": Code(6, "missing", INSTALL),
    "outcome-differs": Code(6, "differs", "believe the recomputed outcome, and ask whoever entered the other"),
    "page-differs": Code(6, "differs", "compare with harness reverdict"),
    "template-unknown": Code(6, "missing", "believe the ledger's outcome, not that page: harness claims, harness list"),
    "not-recomputed": Code(6, "differs", "judge it with the version of harness that its env.json names"),
    "explored-differs": Code(6, "differs", "believe its files, not what it says of them: harness explore"),
    "explored-rewritten": Code(6, "note", "another version of harness writes the same report otherwise"),
    "replication-differs": Code(6, "differs", "believe its results, not what it says of them: harness replicate RUN"),
    "walk-back-differs": Code(6, "differs", "believe the registered implications: harness claims"),
    "file-changed": Code(6, "tampered", "undo the change, or amend the registration with a reason"),
    "file-missing": Code(6, "note", "bring it back from git or from the trail's objects: harness check says how"),
    "file-not-compared": Code(6, "note", "see harness check"),
    "not-asked": Code(6, "unchecked", "audit with --recompute"),
    "rounded": Code(6, "note", "another machine adds in another order"),
    "figures-not-drawn": Code(6, "note", "draw them again: harness reverdict RUN --figures"),
    "redrawn": Code(6, "note", "another version of matplotlib draws the same numbers otherwise"),
    # 7: what was kept elsewhere
    "head-unknown": Code(7, "tampered", "get the ledger from whoever kept that head: this one was cut off or rebuilt"),
    "anchor-of-nothing": Code(7, "tampered", "get the ledger from whoever kept that anchor"),
    "anchor-bytes": Code(7, "tampered", RESTORE),
    "anchor-invalid": Code(7, "tampered", "believe it only from whoever made it"),
    "anchor-missing": Code(7, "missing", RESTORE),
    "no-anchor": Code(7, "missing", "anchor a head: harness anchor"),
    "anchored": Code(7, "note", "what came later is not covered: harness anchor covers the head of then"),
    "anchor-not-verified": Code(7, "note", "name whom you trust: --roots CERTIFICATES, --allowed-signers FILE"),
    "trust-unused": Code(7, "note", "leave the option out, or anchor a head: harness anchor"),
    "nothing-kept": Code(7, "unchecked", "keep the head that run, register and audit print: --known-head HEAD"),
    # 8: rerun
    "rerun-differs": Code(8, "differs", "compare devices and versions; then doubt the result"),
    "rerun-failed": Code(8, "missing", "mend what stopped it and audit again"),
    "not-rerun": Code(8, "unchecked", "audit with --rerun RUN"),
    "repeated-seeds": Code(9, "tampered", "do not rely on this repetition: repeat the run yourself"),
    "repetition-differs": Code(9, "differs", "believe its results, not what it says of them"),
    "repetition-unchecked": Code(9, "missing", RESTORE),
    "repeated-by-author": Code(9, "unchecked", "have somebody else do it: harness replicate RUN --fresh NONCE"),
    "not-repeated": Code(9, "unchecked", "harness replicate RUN --fresh NONCE, with a nonce of your own"),
    "repeated": Code(9, "note", "what another machine reported is not what this audit saw: repeat it yourself"),
    "replicated": Code(8, "note", "what another machine reported is not what this audit saw: --rerun RUN"),
    # 10: papers
    "paper-number": Code(10, "differs", "believe the trail, and write the paper again: harness paper"),
    "paper-outdated": Code(10, "differs", "write the paper again: harness paper, with the same names"),
    "paper-figure": Code(10, "differs", "write the paper again: harness paper"),
    "paper-missing": Code(10, "missing", "write the paper again: harness paper"),
    "paper-unreadable": Code(
        10, "missing", "audit it with the trail that holds its runs: --verdicts, or write it again from that trail"
    ),
    "paper-words": Code(10, "note", "read what was edited; the numbers were compared"),
}
CODES |= {
    f"stopped-{step}": Code(step, "missing", "this is a defect of harness: report it, with the trail")
    for step in range(1, 11)
}


@dataclass(frozen=True)
class AuditFinding:
    """One thing that an audit found."""

    code: str
    """The finding's name, a key of ``CODES``."""
    what: str
    """A sentence about what was found."""
    where: str
    """A file, or an event."""
    expected: str | None = None
    """The value that should be there."""
    got: str | None = None
    """The value that is there."""
    hypothesis: str | None = None
    """The hypothesis whose promise it concerns; None: the whole trail's."""
    command: str | None = None
    """The remedy for this very finding, where one can be told."""

    @property
    def step(self) -> int:
        """Return the step that finds it."""
        return CODES[self.code].step

    @property
    def severity(self) -> Severity:
        """Return how grave it is, which determines the exit code."""
        return CODES[self.code].severity

    @property
    def remedy(self) -> str:
        """Return what to do about it."""
        return self.command if self.command is not None else CODES[self.code].remedy
