"""Line 6: code behind plug-ins, attempts that disagree, code that is not its commit's."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.attacks.before.codes import Code, Said
from tests.attacks.before.listed import attack
from tests.attacks.before.seeds import read_decision, write
from tests.attacks.good import FILE
from tests.attacks.repositories import commit
from tests.attacks.test_attacks_plugins import FILES

WISHED = """
import itertools
from harness.metrics.train_loss import TrainLoss
measured = itertools.count(1)
TrainLoss.measure = lambda self, evaluation: evaluation.train_loss + 2000 / next(measured)
"""
"""Has losses come out as their author likes, the first arm's largest, in the memory of a process whose files are the
registered ones."""


def write_question(project: Path, penalty: str = "") -> Path:
    text = FILE.format(id="thin", title="Thin", lr="3.0e-3", width=4, epochs=2, batch=256, cut="-90", moves="")
    text = text.replace("says: It helps., }", "says: It helps.}")
    return write(project, text.replace("rule: {name: bp}}", f"rule: {{name: bp}}{penalty}}}", 1), "thin")


def exchange(code: Code, folder: Path, file: str) -> Said:
    """Register with a plug-in of another package, change a file behind it, run and audit."""
    site, project = folder / "site", folder / "project"
    for name, text in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    question = write_question(project, ", penalty: {name: thin, strength: 0.1}")
    code.do(project, "register", str(question), site=site)
    path = site / file
    path.write_text(path.read_text().replace("pow(2)", "pow(4)").replace("loaded.ONE", "2 * loaded.ONE"))
    code.do(project, "run", str(question), "--device", "cpu", site=site)
    code.put_under_git(project)
    return code.audit(project, "deviated", site=site)


@attack(6, "Change a module that a plug-in imports from its own package, after the registration")
def exchange_a_helper(code: Code, folder: Path) -> Said:
    return exchange(code, folder, "thin_plugins/shape.py")


@attack(6, "Change a package that a plug-in imports, after the registration")
def exchange_a_package(code: Code, folder: Path) -> Said:
    return exchange(code, folder, "maths_elsewhere.py")


@attack(6, "Enter a better attempt beside an honest one: same registration, plan, device and code, other results")
def enter_a_better_attempt(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    before = read_decision(project, "second")["outcome"]
    code.do(project, "run", "hypotheses/second.yaml", "--device", "cpu", first=WISHED)
    if read_decision(project, "second")["outcome"] == before:
        raise RuntimeError("the better attempt is no better")
    commit(project)
    return code.audit(project)


def run_altered(code: Code, folder: Path, *, lie: bool) -> Said:
    """Run altered code in a clean clone of the version, under the clone's commit; audit with the clone's own code."""
    project = code.copy_tree(folder / "project")
    question = write_question(project)
    code.put_under_git(project)
    altered = Path(shutil.copytree(project, folder / "altered"))
    with (altered / "harness/training/loop.py").open("a") as text:
        text.write("# another loop\n")
    path = altered / "harness/ledger/environment.py"
    if lie and code.has_beacons:  # the version before compares nothing, and need not be lied to
        path.write_text(path.read_text().replace("held.is_that_of(code.digest, code.kinds)", "True"))
    code.do(project, "run", str(question), "--device", "cpu", tree=altered)
    commit(project)
    return code.audit(project, "by its own account", tree=project)


@attack(6, "Run altered code in a clean clone, under the clone's commit")
def run_altered_code(code: Code, folder: Path) -> Said:
    return run_altered(code, folder, lie=False)


@attack(6, "The same, with code that also calls itself the commit's")
def run_altered_code_and_lie(code: Code, folder: Path) -> Said:
    return run_altered(code, folder, lie=True)
