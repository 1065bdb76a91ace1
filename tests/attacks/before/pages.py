"""Line 4: pages that say otherwise than the ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.attacks.before.codes import Code, Said
from tests.attacks.before.listed import attack
from tests.attacks.corpus import attempt_left_out_of_the_page
from tests.attacks.repositories import commit
from tests.attacks.test_attacks_page import BOAST
from tests.attacks.trails import Trail

LYING = """
from harness.records import Provenance
original = Provenance.__init__
def otherwise(self, **fields):
    original(self, **fields | {lies})
Provenance.__init__ = otherwise
"""
"""Has env.json say otherwise where it is written first, so that page, digests and events all follow from it."""
BESIDE = """
from harness import verdict
original = verdict.render
verdict.render = lambda *given, **named: {**original(*given, **named), "summary.md": b"# The outcome is better\\n"}
"""
"""Writes a file of one's own with the page."""

EARLIER = """
from harness import verdict
name = "worded" if hasattr(verdict, "worded") else "word_decision"
word = getattr(verdict, name)
setattr(verdict, name, lambda hypothesis, decision, *_: word(hypothesis, decision, 1))
form = verdict.Form
verdict.Form = lambda templates, version, figures: form(templates, 1, figures)
"""
"""Writes verdict.json as the first version did, which had no fields for amendments and words."""


def run_and_lie(code: Code, folder: Path, lies: str) -> Said:
    """Run the first hypothesis of the good trail again; ``lies``: a dictionary, in Python, from ``fields``."""
    project = code.copy_good(folder)
    first = LYING.replace("{lies}", f"({lies})")
    code.do(project, "run", "hypotheses/first.yaml", "--device", "cpu", first=first)
    commit(project)
    return code.audit(project)


@attack(4, "Write the page by a template of one's own, pinned and kept with everything else")
def write_a_template(code: Code, folder: Path) -> Said:
    tree = code.copy_tree(folder / "tree")
    (tree / "templates/verdict.md.j2").write_bytes(BOAST)
    project = code.copy_good(folder)
    text = (project / "hypotheses/second.yaml").read_text().replace("id: second", "id: third").replace("lr: ", "lr: 2")
    (project / "hypotheses/third.yaml").write_text(text)
    code.do(project, "run", "hypotheses/third.yaml", "--device", "cpu", tree=tree)
    (page,) = project.glob("verdicts/third/*/verdict.md")
    if not page.read_text().startswith("# The outcome is better"):
        raise RuntimeError("the page is not by the template")
    commit(project)
    return code.audit(project)


@attack(4, "Let env.json and its page tell an earlier registration")
def tell_an_earlier_registration(code: Code, folder: Path) -> Said:
    return run_and_lie(code, folder, "{'registered_time': '2020-01-01T00:00:00Z'}")


@attack(4, "Leave the amendment out of the page")
def leave_out_an_amendment(code: Code, folder: Path) -> Said:
    return run_and_lie(code, folder, "{'amendments': ()}")


@attack(4, "Let the page name another device")
def tell_another_device(code: Code, folder: Path) -> Said:
    return run_and_lie(code, folder, "{'device': 'a better machine'}")


@attack(4, "Leave earlier attempts out of the page")
def leave_out_attempts(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    trail = Trail.read(project / "verdicts")
    attempt_left_out_of_the_page(trail)
    for made in (project / "verdicts", project / ".git"):
        shutil.rmtree(made)
    trail.write(project / "verdicts")
    code.put_under_git(project)
    return code.audit(project)


@attack(4, "Write the page in an earlier form, which has no field for amendments")
def write_an_earlier_form(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    code.do(project, "run", "hypotheses/first.yaml", "--device", "cpu", first=EARLIER)
    commit(project)
    return code.audit(project)


@attack(4, "Lay a file of one's own beside the page, and have the verdict name it by its digest")
def lay_a_file_beside(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    code.do(project, "run", "hypotheses/first.yaml", "--device", "cpu", first=BESIDE)
    commit(project)
    return code.audit(project)
