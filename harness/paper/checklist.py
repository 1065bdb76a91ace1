"""The NeurIPS paper checklist, answered as far as a trail can answer it, and otherwise left to the author.

Source: NeurIPS Paper Checklist Guidelines (2025), https://neurips.cc/public/guides/PaperChecklist. Questions are
shortened; the form that is submitted has them in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.paper.markup import code, foreign
from harness.paper.study import Study
from harness.wording import format_count, join_words

AUTHOR = "For the author"


class Answer(NamedTuple):
    """A question, and what the trail says to it."""

    title: str
    question: str
    answer: str
    """Yes, No, or that it is for the author."""
    why: str


def answer_checklist(studies: Sequence[Study]) -> list[Answer]:
    """Return all questions in the checklist's order."""
    found = []
    for title, question, write in QUESTIONS:
        answer, why = (AUTHOR, write) if isinstance(write, str) else write(studies)
        found.append(Answer(title, question, answer, why))
    return found


def _answer_reproducibility(studies: Sequence[Study]) -> tuple[str, str]:
    runs = join_words([code(f"harness replicate {study.run.name}") for study in studies])
    answer, programs = _ask_of_programs(studies)
    return answer, (
        "The registered files fix data, models, optimizers, seeds and analysis; the methods section states them. "
        f"{programs}"
        f"With the trail, {runs} trains every replica again from the same seeds, and "
        f"{code('harness audit --recompute')} derives every number again from the stored measurements."
    )


def _answer_open_code(studies: Sequence[Study]) -> tuple[str, str]:
    versions = dict.fromkeys(study.provenance.harness for study in studies)
    trees = [_tell_tree(study) for study in studies]
    data = {name: record for study in studies for name, record in study.measurements.data.items()}
    official = [foreign(name) for name, record in data.items() if record.canonical]
    others = [foreign(name) for name, record in data.items() if not record.canonical]
    told = f"The experiments ran with harness {join_words(list(versions))}. The project was {'; '.join(trees)}. "
    told += f"The official files of {join_words(official)} were used. " if official else ""
    told += f"Of {join_words(others)}, the files are not known to be the official ones. " if others else ""
    return AUTHOR, f"{told}Say where the project, with its trail, is published."


def _tell_tree(study: Study) -> str:
    commit = study.run.body.environment.commit
    return f"at {f'commit {code(commit[:12])}' if commit else 'no commit'} for {study.short} ({study.tree})"


def _answer_settings(studies: Sequence[Study]) -> tuple[str, str]:
    tuned = [study.short for study in studies if study.form.tuning is not None]
    chosen = (
        f"How the settings of {join_words(tuned)} were chosen was registered, and every candidate is in the trail."
        if tuned
        else "No setting was searched for in the registered runs; why each has its value is for the author to say."
    )
    answer, programs = _ask_of_programs(studies)
    return answer, f"The methods section, written from the registered files, states all settings. {programs}{chosen}"


def _ask_of_programs(studies: Sequence[Study]) -> tuple[str, str]:
    """Return Yes, or that it is for the author where a program trains, with what to say of it."""
    found = [study.short for study in studies if study.form.program is not None]
    if not found:
        return "Yes", ""
    told = f"In {join_words(found)} a program trains: its command and code are pinned, and "
    return AUTHOR, f"{told}what it trains, on what data and with what settings is for the author to say. "


def _answer_significance(studies: Sequence[Study]) -> tuple[str, str]:
    told = []
    for study in studies:
        tests = dict.fromkeys(spec.criterion.name for spec in study.form.decisions.values())
        seeds = format_count(len(study.measurements.seeds), "seed")
        told.append(f"{study.short}: {seeds}, criterion {join_words([code(one) for one in tests])}")
    sources = []
    if own := [study for study in studies if study.form.built_in is not None]:
        of = "" if len(own) == len(studies) else f" of {join_words([study.short for study in own])}"
        sources.append(
            f"The variability{of} is that between seeds: initial weights, order of batches, augmentation and feedback "
            "matrices. The data set and its split are the same for all seeds."
        )
    if programs := [study.short for study in studies if study.form.program is not None]:
        sources.append(f"What varies in the program of {join_words(programs)} with its seed is for the author to say.")
    return "Yes", (
        f"Every result has an interval and a p-value across seeds, by a test that was registered ({'; '.join(told)}). "
        f"{' '.join(sources)}"
    )


def _answer_compute(studies: Sequence[Study]) -> tuple[str, str]:
    told = []
    for study in studies:
        seconds = study.provenance.durations.get("training")
        time = f", training took {seconds:,.0f} s" if seconds is not None else ""
        if study.provenance.linked is not None:
            time = ", where how long training took is not known here"
        started = format_count(len(study.started), "attempt")
        told.append(f"{study.short} on {foreign(study.provenance.device)}{time}, one of {started}")
    return "Yes", f"{'; '.join(told)}. What was computed outside this ledger is for the author to add."


def _answer_limits(studies: Sequence[Study]) -> tuple[str, str]:
    told = dict.fromkeys(spec.criterion.assumes for study in studies for spec in study.form.decisions.values())
    return AUTHOR, (
        f"The tests assume that {'; and that '.join(map(foreign, told))}. What the trail does not prove is "
        "listed in "
        "the pre-registration statement. Other limitations are for the author."
    )


def _answer_claims(studies: Sequence[Study]) -> tuple[str, str]:
    told = [f"{study.short} came out {study.decision.outcome}" for study in studies]
    return (
        AUTHOR,
        f"By the registered rules, {join_words(told)}. Abstract and introduction must claim no more than that.",
    )


Write = str | Callable[[Sequence[Study]], tuple[str, str]]
QUESTIONS: tuple[tuple[str, str, Write], ...] = (
    ("Claims", "Do the main claims in abstract and introduction reflect the paper's contributions and scope?",
     _answer_claims),
    ("Limitations", "Does the paper discuss the limitations of the work?", _answer_limits),
    ("Theory assumptions and proofs", "Are all assumptions and a complete proof given for each theoretical result?",
     "The trail holds experiments only."),
    ("Experimental result reproducibility", "Does the paper disclose all that is needed to reproduce the main results?",
     _answer_reproducibility),
    ("Open access to data and code", "Does the paper provide open access to data and code, with instructions?",
     _answer_open_code),
    ("Experimental setting and details", "Does the paper specify all training and test details?", _answer_settings),
    ("Experiment statistical significance", "Does the paper report error bars, or the statistical significance?",
     _answer_significance),
    ("Experiments compute resources", "Does the paper say what computer resources are needed for each experiment?",
     _answer_compute),
    ("Code of ethics", "Does the research conform with the NeurIPS Code of Ethics?", "The trail says nothing of this."),
    ("Broader impacts", "Does the paper discuss positive and negative societal impacts?",
     "The trail says nothing of this."),
    ("Safeguards", "Are there safeguards for the responsible release of data or models with a high risk of misuse?",
     "The trail says nothing of this."),
    ("Licenses for existing assets", "Are the creators of assets credited, and licenses and terms of use respected?",
     "The components section names the sources of data sets, models and rules; licenses are for the author."),
    ("New assets", "Are new assets documented, and is the documentation provided?",
     "Say whether the trail, the registered files or stored weights are released."),
    ("Crowdsourcing and research with human subjects", "Are instructions and compensation of participants described?",
     "The trail holds trainings of models only."),
    ("Institutional review board approvals", "Are risks for study participants described, and approvals obtained?",
     "The trail holds trainings of models only."),
    ("Declaration of LLM usage", "Does the paper describe the usage of LLMs that is part of the core methods?",
     "The trail says nothing of this."),
)  # fmt: skip
