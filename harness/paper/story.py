"""Attempts and deviations, and the pre-registration statement: what the ledger tells, and what nothing proves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.ledger import keep_meaningful
from harness.ledger.audit import UNDETECTABLE
from harness.paper.markup import Table, code, foreign, head
from harness.paper.study import Study
from harness.records import Anchor
from harness.wording import format_count, join_words, typeset

DASH = "–"


def tabulate_attempts(studies: Sequence[Study]) -> Table:
    """Return every attempt at the hypotheses, also failed, abandoned and open ones, and pilots."""
    rows: list[tuple[str, ...]] = []
    done: set[str] = set()
    for study in studies:
        if study.form.id in done:
            continue
        done.add(study.form.id)
        rows.append((head(study.short, study.form.title),))
        shown = {other.run.name for other in studies if other.form.id == study.form.id}
        for attempt in study.attempts:
            marks = ["reported here"] * (attempt.run in shown) + [study.deviating.get(attempt.run, "")]
            became = attempt.status + (f", {attempt.outcome}" if attempt.outcome else "")
            rows.append((
                code(attempt.run), attempt.started, foreign(became), foreign(attempt.reason or DASH),
                ", ".join(filter(None, marks)) or DASH,
            ))  # fmt: skip
    caption = (
        "All attempts that the ledger holds at the hypotheses of this paper, whatever became of them, pilots "
        "among them. "
        "Times are those of the writer's clock, UTC."
    )
    heads = ("Run", "Started", "What became of it", "Reason", "Remark")
    return Table(caption, "tab:attempts", heads, (0.18, 0.24, 0.22, 0.2, 0.16), tuple(rows))


def tell_attempts(study: Study) -> Iterator[str]:
    """Yield the number of attempts, and what became of them."""
    started, pilots = study.started, len(study.attempts) - len(study.started)
    counted = [
        f"{sum(attempt.status == status for attempt in started)} {status}"
        for status in dict.fromkeys(attempt.status for attempt in started)
    ]
    yield f"{study.short}: {format_count(len(started), 'attempt')} ({', '.join(counted)})"
    if pilots:
        yield f"and {format_count(pilots, 'pilot run')}, whose numbers are prior data"
    if study.provenance.resumed:
        yield f"the reported attempt was resumed {format_count(study.provenance.resumed, 'time')}"
    siblings = study.provenance.siblings
    if siblings:
        names = join_words([code(other.hypothesis) for other in siblings])
        yield f"other registered hypotheses on the same claims, or nearly the same question: {names}"


def list_deviations(study: Study) -> list[str]:
    """Return each deviation of the reported run from its registration, each amendment, and what reruns came to."""
    run, body = study.run, study.run.body
    serious = keep_meaningful(body.deviations)
    words = [line for line in body.deviations if line not in serious] + ([body.words] if body.words else [])
    found = [f"Deviation: {foreign(line)}." for line in serious]
    found += [f"In what is meant for words only: {foreign(line)}." for line in words]
    found += [f"Evidence on a deviation: {foreign(line)}." for line in study.provenance.tried]
    for amendment in study.amendments:
        changed = "; ".join(amendment.body.differences[:MOST]) or "the file's text only"
        more = len(amendment.body.differences) - MOST
        changed += f"; and {format_count(more, 'more difference')}" if more > 0 else ""
        found.append(
            f"Amendment {code(amendment.digest[:12])} of {amendment.claimed_time}, {foreign(amendment.when)}: "
            f"{foreign(changed)}. Reason: {foreign(amendment.body.reason)}"
        )
    for rerun in study.replicated:
        found.append(
            f"Trained again from its registered seeds on {foreign(rerun.device)}: agreement in {rerun.agreement}."
            if rerun.agreement != "none"
            else f"Trained again from its registered seeds on {foreign(rerun.device)}: it did not agree."
        )
    for entry in study.repeated:
        again = entry.body
        differs = "it did not agree" if again.differences else "it agreed"
        who = "whoever ran it" if entry.event.actor == run.event.actor else "somebody else"
        found.append(
            f"Repeated by {who}, by the names in the ledger, with other seeds, which follow from a nonce of theirs, "
            f"on {foreign(again.device)}: {differs}; its outcome is {foreign(again.outcome)}."
        )
    if not serious:
        found.insert(0, NO_DEVIATION)
    return [typeset(one) for one in found]


MOST = 20
"""Differences of an amendment that are listed."""
NO_DEVIATION = (
    "No deviation was found: file, claims, code and data are those of the registration, as far as it fixes them."
)


def list_digests(study: Study) -> Table:
    """Return what identifies the registration, the run and its data."""
    registration, run = study.registration, study.run
    rows: list[tuple[str, ...]] = [
        ("Registration (event)", code(registration.digest)),
        ("Registered at, by the writer's clock", registration.claimed_time),
        *([("Amendment (event)", code(registration.amendment))] if registration.amendment else []),
        ("Registered file, SHA-256", code(run.body.raw)),
        ("Its meaning (RFC 8785), SHA-256", code(run.body.canonical)),
        ("Registered claims, SHA-256", code(registration.claims)),
        ("Run (event)", code(run.digest)),
        ("Started at, by the writer's clock", run.claimed_time),
        ("Verdict (event)", code(study.verdict)),
        *[(f"{name}, SHA-256", code(study.files[name])) for name in ("results.json", "verdict.json")
          if name in study.files],
        *[(f"Data of {foreign(name)}, SHA-256", code(record.fingerprint))
          for name, record in study.measurements.data.items()],
        ("Git commit of the project when the run was started", _tell_commit(study)),
        ("Code of harness, SHA-256", _tell_code(study)),
    ]  # fmt: skip
    return Table(
        f"{study.short}: what was registered and run, by digest.", f"tab:digests-{study.run.name}",
        ("What", "Value"), (0.36, 0.64), tuple(rows),
    )  # fmt: skip


def _tell_commit(study: Study) -> str:
    environment = study.run.body.environment
    if environment.commit is None:
        return f"none: {study.tree}"
    digest = f" (SHA-256 of the difference {code(environment.dirty_digest)})" if environment.dirty_digest else ""
    return f"{code(environment.commit)}, {study.tree}{digest}"


def _tell_code(study: Study) -> str:
    environment = study.run.body.environment
    if environment.commit is None:
        return code(environment.code)
    held = {
        True: "which that commit holds",
        False: "of which that commit holds another version",
        None: "of which that commit is not known to hold any",
    }
    return f"{code(environment.code)}, {held[environment.of_commit]}"


def tell_registration(study: Study) -> list[str]:
    """Return the statement on one hypothesis: what was fixed when, and by what evidence."""
    registration, form = study.registration, study.form
    event, run = code(registration.digest[:12]), code(study.run.name)
    linked = study.provenance.linked is not None
    what = "the runs that are reported here were entered" if linked else "the run that is reported here was started"
    told = [
        f"{study.short} ({code(form.id)}) was registered before {what}:",
        f"the ledger's event of the run, {run}, descends from that of the registration, {event}.",
        f"It states: “{foreign(form.title)}”.",
        "The registration fixed arms, estimands, thresholds, guards, stopping rule, number of seeds,",
        "and the meaning of every outcome.",
    ]
    if registration.amendment is not None:
        told.append(f"It was amended before the run, in event {code(registration.amendment[:12])}.")
    if study.anchors:
        listed = join_words([_tell_anchor(anchor) for anchor in study.anchors])
        told.append(f"Evidence from outside the ledger that the registration was there before the run: {listed}.")
    if study.later_anchors:
        listed = join_words([_tell_anchor(anchor) for anchor in study.later_anchors])
        told.append(
            f"Evidence from outside that the registration was there, entered after the run was started: {listed}."
        )
    return [*told, *_tell_seeds(study)]


def _tell_anchor(anchor: Anchor) -> str:
    if anchor.kind == "tsa":
        when = f" of {anchor.time}" if anchor.time else ""
        return f"an RFC 3161 time stamp{when} by {foreign(anchor.by)} over event {code(anchor.head[:12])}"
    return f"an SSH signature by the key {code(anchor.by)} over event {code(anchor.head[:12])}"


def _tell_seeds(study: Study) -> Iterator[str]:
    beacon, drawn = study.form.seeds.beacon, study.provenance.drawn
    if study.provenance.hand_picked_seeds:
        yield "The seeds were picked by hand."
    elif beacon is not None and drawn is not None:
        yield (
            f"The seeds follow from a round of the beacon {code(beacon.name)} due at {drawn.time}, which the "
            "registration "
            f"fixed by rule; the trail keeps the round's record, {code(drawn.record[:12])}. "
            f"Beside it, this is to be trusted: {foreign(beacon.trusts())}."
        )
    else:
        yield f"The seeds follow from event {code(study.registration.digest[:12])} alone."


def tell_unproven(studies: Sequence[Study]) -> list[str]:
    """Return, plainly, what the trail does not prove."""

    def name(found: Sequence[Study]) -> str:
        return join_words([study.short for study in found])

    told = []
    if bare := [study for study in studies if not study.anchors]:
        told.append(
            f"Nothing outside the authors' own records shows when {name(bare)} {'was' if len(bare) == 1 else 'were'} "
            "registered, or that it was before the run: the times are those of the authors' clock, and the order "
            "is that "
            "of a ledger which its authors keep."
        )
    if stamped := [study for study in studies if study.anchors or study.later_anchors]:
        told.append(
            f"The stamps and signatures of {name(stamped)} are listed as the ledger has them; only harness audit "
            "with keys "
            "that the reader trusts (--roots, --allowed-signers) verifies them."
        )
    if choosable := [s for s in studies if s.provenance.drawn is None and not s.provenance.hand_picked_seeds]:
        told.append(
            f"The authors could have chosen the seeds of {name(choosable)}: another comment, title or time gives a "
            "registration with other seeds, and one that was made elsewhere and not shown can't be seen."
        )
    if picked := [study for study in studies if study.provenance.hand_picked_seeds]:
        told.append(f"The authors chose the seeds of {name(picked)}, and could have tried them first.")
    if foreign_data := [s for s in studies if not all(record.canonical for record in s.measurements.data.values())]:
        told.append(f"The data of {name(foreign_data)} are not known to be the data sets' official files.")
    if uncommitted := [study for study in studies if study.run.body.environment.commit is None]:
        told.append(f"No git commit of the project is named by {name(uncommitted)}.")
    if programs := [s for s in studies if s.form.program is not None and s.provenance.linked is None]:
        told.append(
            f"Of the program of {name(programs)}, harness saw the files and not the training: whether its numbers are "
            "what they are called, and whether the seed reached all that is drawn, nothing here shows."
        )
    if linked := [study for study in studies if study.provenance.linked is not None]:
        told.append(
            f"The runs of {name(linked)} were made outside harness: when they began, with which seeds, parameters and "
            "code, and that none was left out rest on the word of whoever told them."
        )
    if dirty := [study for study in studies if study.run.body.environment.dirty]:
        told.append(f"When {name(dirty)} started, files of the project differed from the named commit.")
    if unheld := [s for s in studies if s.run.body.environment.commit and not s.run.body.environment.of_commit]:
        told.append(
            f"The code of harness that trained {name(unheld)} is not known to be in the named commit: it is fixed by "
            "its SHA-256."
        )
    if alone := [study for study in studies if not study.replicated and not study.repeated]:
        told.append(f"Nobody has trained {name(alone)} again and entered it in this ledger.")
    return [*told, UNDETECTABLE]


def tell_story(studies: Sequence[Study]) -> dict[str, Any]:
    """Return all that the template of attempts and deviations prints."""
    first = {study.form.id: study for study in reversed(studies)}
    return {
        "counts": ["; ".join(tell_attempts(study)) + "." for study in reversed(first.values())],
        "attempts": tabulate_attempts(studies),
        "deviations": [(f"{study.short}, run {code(study.run.name)}", list_deviations(study)) for study in studies],
    }


def tell_statement(studies: Sequence[Study]) -> dict[str, Any]:
    """Return all that the template of the pre-registration statement prints."""
    return {
        "told": [tell_registration(study) for study in studies],
        "digests": [list_digests(study) for study in studies],
        "unproven": tell_unproven(studies),
    }
