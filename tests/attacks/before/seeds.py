"""Lines 1 to 3: seeds rolled again, repetitions, amendments after a dry run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.attacks.before.codes import Code, Said
from tests.attacks.before.listed import attack
from tests.attacks.draws import DRAND, REGISTERED_TIME, draw, make_key, register_at, witness, write_file
from tests.attacks.good import CLAIMS, FILE
from tests.attacks.repositories import commit
from tests.attacks.test_attacks_seeds import EDITS, roll

NONE = Said(False, "no such promise: it has no beacons")
NONCE = "0123456789abcdef"
TRIES = 120
READERS = 7
"""Repetitions; one in ten is "better" by chance, as the verdict was."""


def write(root: Path, text: str, name: str = "one") -> Path:
    (root / "hypotheses").mkdir(parents=True, exist_ok=True)
    (root / "hypotheses/claims.yaml").write_text(CLAIMS)
    file = root / "hypotheses" / f"{name}.yaml"
    file.write_text(text)
    return file


def fill(cut: str, seeds: str = "{count: 5}", name: str = "one") -> str:
    """A hypothesis: the loss with the block is larger than without it by ``cut``."""
    text = FILE.format(id=name, title="One", lr="1.0e-2", width=4, epochs=1, batch=256, cut=cut, moves="")
    text = text.replace("says: It helps., }", "says: It helps.}").replace("{name: t}", "{name: t, alpha: 0.1}")
    return text.replace("{count: 3}", seeds)


def read_decision(root: Path, name: str = "one") -> dict[str, Any]:
    """What the last verdict decided."""
    pages = sorted(root.glob(f"verdicts/{name}/*/verdict.json"), key=lambda path: path.stat().st_mtime)
    decided: dict[str, Any] = json.loads(pages[-1].read_text())["decision"]
    return decided


def measure(code: Code) -> str:
    """The mean effect, over seeds that are listed: a cut there is one that nothing is above or below."""
    root = code.work / "mean"
    if not root.exists():
        code.do(root, "run", str(write(root, fill("0", f"{{list: {[*range(60)]}}}"))), "--device", "cpu")
    return f"{read_decision(root)['decisions'][0]['estimand']['mean']:.6f}"


def grind(code: Code) -> tuple[Path, int]:
    """A project that was registered and run in private until it pleased, and is shown now; the number of tries."""
    chosen = code.work / "ground"
    tries = chosen.with_suffix(".tries")
    for number in range(0 if chosen.exists() else TRIES):
        root = code.work / "tries" / str(number)
        text = fill(measure(code)).replace("title: One", f"title: One{'.' * (number % 3)}") + f"# {number // 3}\n"
        code.do(root, "run", str(write(root, text)), "--device", "cpu")
        if read_decision(root)["outcome"] == "better":
            code.put_under_git(Path(shutil.copytree(root, chosen)))
            tries.write_text(str(number + 1))
            break
    return chosen, int(tries.read_text())


@attack(1, 'Register and run in private with other comments, titles and times until a null effect is "better"; show it')
def re_roll_seeds(code: Code, _folder: Path) -> Said:
    project, tries = grind(code)
    said = code.audit(project, "choosable")
    return Said(said.found, f"{said.words}; it took {tries} registrations")


@attack(1, "The same, with a beacon named in the file: every wording, direction, time and parent")
def re_roll_seeds_of_a_round(code: Code, folder: Path) -> Said:
    if not code.has_beacons:
        return NONE
    variants: list[tuple[Callable[[str], str], timedelta, bool]] = [
        (edit, timedelta(), False) for edit in EDITS.values()
    ]
    variants += [(lambda text: text, timedelta(seconds=1), False), (lambda text: text, timedelta(), True)]
    drawn = {
        roll(folder / str(number), DRAND, REGISTERED_TIME - earlier, edit, parent)
        for number, (edit, earlier, parent) in enumerate(variants)
    }
    return Said(len(drawn) == 1, f"{len(variants)} registrations, {len(drawn)} draw of seeds: in vain")


@attack(2, "Have a verdict from chosen seeds trained again by its author, and show that it comes out to the bit")
def repeat_chosen_seeds(code: Code, folder: Path) -> Said:
    project = Path(shutil.copytree(grind(code)[0], folder / "project"))
    code.do(project, "replicate", "one", "--device", "cpu")
    commit(project)
    return code.audit(project, "not-repeated")


@attack(2, "The same verdict, repeated by readers with nonces of their own (`replicate --fresh`)")
def repeat_with_nonces(code: Code, folder: Path) -> Said:
    project = Path(shutil.copytree(grind(code)[0], folder / "project"))
    for number in range(READERS):
        done = code.call(project, "replicate", "one", "--fresh", f"{NONCE}{number:02}", "--device", "cpu")
        if "No such option" in done.text:
            return Said(False, "no such option: nobody could have other seeds")
    events = [json.loads(path.read_text()) for path in (project / "verdicts/ledger/events").iterdir()]
    outcomes = [event["body"]["outcome"] for event in events if event["type"] == "repeated"]
    again = outcomes.count("better")
    return Said(len(outcomes) == READERS and again < READERS / 2, f'{again} of {READERS} repetitions are "better"')


@attack(2, "A repetition with a nonce by the author themself, shown as a reader's")
def repeat_by_the_author(code: Code, folder: Path) -> Said:
    project = Path(shutil.copytree(grind(code)[0], folder / "project"))
    if "No such option" in code.call(project, "replicate", "one", "--fresh", NONCE, "--device", "cpu").text:
        return Said(False, "no such option")
    commit(project)
    return code.audit(project, "repeated-by-author")


def amend_after_a_dry_run(code: Code, project: Path, file: Path, cut: str) -> None:
    """Train in a copy, amend the prediction's band to what came out, run, and commit."""
    dry = Path(shutil.copytree(project, project.with_name("dry")))
    code.do(dry, "run", str(dry / file.relative_to(project)), "--device", "cpu")
    values = [one["value"] for one in read_decision(dry, file.stem)["decisions"][0]["estimand"]["values"]]
    known = f"{min(values) - 1:.3f}"
    text = file.read_text().replace(f"(-inf, {cut}]", f"(-inf, {known}]").replace(f"({cut}, inf)", f"({known}, inf)")
    file.write_text(text)
    code.do(project, "amend", str(file), "--reason", "A better estimate.")
    code.do(project, "run", str(file), "--device", "cpu")
    if read_decision(project, file.stem)["outcome"] != "better":
        raise RuntimeError("the amended band was not reached")
    code.put_under_git(project)


@attack(3, 'Register, train in a copy, amend the bands to what came out, run: "as predicted"')
def amend_after_training_in_a_copy(code: Code, folder: Path) -> Said:
    project = folder / "project"
    file = write(project, fill("90"))
    code.do(project, "register", str(file))
    amend_after_a_dry_run(code, project, file, "90")
    said = code.audit(project, "could have trained them first")
    return Said(said.found, f"{said.words}{', seeds known before' if said.found else ''}")


@attack(3, "The same, with a beacon whose round is drawn")
def amend_after_the_draw(code: Code, folder: Path) -> Said:
    if not code.has_beacons:
        return NONE
    project = folder / "project"
    project.mkdir()
    key, beacon = make_key(folder)
    file = write_file(project, beacon)
    now = datetime.now(UTC)
    registration = register_at(project, now - timedelta(minutes=5))
    draw(project, witness(key, registration, now - timedelta(minutes=4)))
    amend_after_a_dry_run(code, project, file, "90")
    return code.audit(project, "deviated")
