"""All texts of a paper: LaTeX parts, a document that puts them together, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.paper.checklist import answer_checklist
from harness.paper.forms import FORMS
from harness.paper.markup import code, foreign, head
from harness.paper.methods import list_components, tell_methods
from harness.paper.rendering import fill, find_folder
from harness.paper.results import Picture, tell_all
from harness.paper.story import tell_statement, tell_story
from harness.paper.study import Study
from harness.records import Hypothesis
from harness.wording import join_words

PARTS = ("results", "methods", "attempts", "registration", "checklist")
"""Parts of a paper, in the order of the document."""
PREAMBLE = "preamble"


def write_paper(studies: Sequence[Study], pictures: Sequence[Picture]) -> dict[str, str]:
    """Return the texts of a paper: name below its folder → text. The same studies give the same texts."""
    context = _build_context(studies, pictures)
    texts = {
        f"{PREAMBLE}.tex": (find_folder() / f"{PREAMBLE}.txt").read_text(encoding="utf-8"),
        "paper.tex": fill("document.txt", context, tex=True),
        "paper.md": _comment(studies, tex=False)
        + f"# {fill_title(context)}\n\n"
        + "\n".join(fill(f"{part}.txt", context, tex=False) for part in PARTS),
    }
    for part in PARTS:
        texts[f"{part}.tex"] = _comment(studies, tex=True) + fill(f"{part}.txt", context, tex=True)
    return texts


def fill_title(context: dict[str, Any]) -> str:
    """Return a paper's title in Markdown."""
    from harness.paper.markup import write_markdown

    return write_markdown(context["title"])


def write_form(name: str, form: Hypothesis, note: str, pilots: int = 0) -> str:
    """Return a registration in the questions of a form, as Markdown; ``note`` says of what.

    ``pilots``: number of the hypothesis's pilots before its registration.
    """
    context = {"title": foreign(form.title), "note": note, "sections": FORMS[name](form, pilots)}
    return fill("form.txt", context, tex=False)


def _build_context(studies: Sequence[Study], pictures: Sequence[Picture]) -> dict[str, Any]:
    first = {study.form.id: study for study in reversed(studies)}
    own = [study for study in studies if first[study.form.id] is study]
    components = dict.fromkeys(line for study in own for line in list_components(study.form))
    return {
        "title": foreign(studies[0].form.title) if len(own) == 1 else "Results of pre-registered tests",
        "parts": PARTS,
        "results": tell_all(studies, pictures),
        "methods": [(head(study.short, study.form.title), tell_methods(study.form)) for study in own],
        "components": list(components),
        "software": [_tell_software(study) for study in studies],
        "story": tell_story(studies),
        "statement": tell_statement(studies),
        "commands": [
            (
                f"{code('harness audit --recompute')} goes through everything that the trail promises, this paper's "
                "numbers "
                "among it, and judges every run again from its stored measurements."
            ),
            *(f"{code(f'harness replicate {study.run.name}')} trains {study.short} again." for study in studies),
        ],
        "checklist": answer_checklist(studies),
    }


def _tell_software(study: Study) -> str:
    found = study.provenance
    packages = join_words([f"{name} {version}" for name, version in sorted(found.packages.items())] or ["none noted"])
    return (
        f"{study.short} was run with harness {found.harness} on Python {found.python} ({foreign(found.platform)}), on "
        f"{foreign(found.device)}; packages: {foreign(packages)}."
    )


def _comment(studies: Sequence[Study], *, tex: bool) -> str:
    """Return where the numbers of a part come from, for whoever reads its source."""
    lines = [
        "Written by harness paper; harness audit holds its numbers against the trail.",
        *(
            f"{study.short}: run {study.run.digest} of {study.form.id}, registered file {study.run.body.raw}"
            for study in studies
        ),
    ]
    if tex:
        return "".join(f"% {line}\n" for line in lines) + "\n"
    return "<!--\n" + "".join(f"{line}\n" for line in lines) + "-->\n\n"
