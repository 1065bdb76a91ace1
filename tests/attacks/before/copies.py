"""Lines 7 and 9: near-copies, siblings and bands that nobody can miss; what the documentation promises."""

from __future__ import annotations

import re
from pathlib import Path

from tests.attacks.before.codes import Code, Said
from tests.attacks.before.listed import attack
from tests.attacks.repositories import commit
from tests.attacks.test_attacks_seeds import EDITS

UNTRUE = (r"nobody can have tried", r"nobody could have tried", r"nobody can choose them", r"cannot have been tried")


def ask_again(code: Code, folder: Path, *edits: str, swap: tuple[str, str] = ("", "")) -> tuple[Path, Path]:
    """Write the good trail's second question once more under another id, in other words; return project and file."""
    project = code.copy_good(folder)
    text = (project / "hypotheses/second.yaml").read_text()
    for name in edits:
        text = EDITS[name](text)
    file = project / "hypotheses/third.yaml"
    file.write_text(text.replace("id: second", "id: third").replace(*swap))
    return project, file


def register_again(code: Code, folder: Path, *edits: str, swap: tuple[str, str] = ("", "")) -> Said:
    project, file = ask_again(code, folder, *edits, swap=swap)
    code.do(project, "register", str(file))
    commit(project)
    return code.audit(project, "near-duplicate")


@attack(7, "Ask the same question under another id")
def copy_a_question(code: Code, folder: Path) -> Said:
    return register_again(code, folder)


@attack(7, "The same with other names of arms, estimands and decisions")
def copy_with_other_names(code: Code, folder: Path) -> Said:
    return register_again(code, folder, "names")


@attack(7, "The same the other way round: contrast and bands negated")
def copy_negated(code: Code, folder: Path) -> Said:
    return register_again(code, folder, "the direction")


@attack(7, "The same with arms in another order")
def copy_reordered(code: Code, folder: Path) -> Said:
    first = "  bp: {label: BP, rule: {name: bp}}\n"
    second = "  frozen: {label: Frozen, rule: {name: bp}, freeze: [blocks]}\n"
    return register_again(code, folder, swap=(first + second, second + first))


@attack(7, "The same with a default of the optimizer written out, and every name changed")
def copy_with_defaults(code: Code, folder: Path) -> Said:
    return register_again(code, folder, "names", swap=("lr: 1.0e-2", "lr: 1.0e-2, weight_decay: 0.01"))


@attack(7, "Ask about the same claim again and again, and show the page of the one that pleased")
def hide_siblings(code: Code, folder: Path) -> Said:
    project, file = ask_again(code, folder, swap=("batch_size: 128", "batch_size: 64"))
    code.do(project, "run", str(file), "--device", "cpu")
    (page,) = project.glob("verdicts/third/*/verdict.md")
    told = [name for name in ("first", "second") if f"| {name} |" in page.read_text()]
    return Said(bool(told), f"its page names {' and '.join(told) or 'none'} of the two others on its claim")


@attack(7, "Predict bands that nobody can miss")
def predict_the_certain(code: Code, folder: Path) -> Said:
    project, file = ask_again(code, folder, swap=("metric: train_loss, contrast", "metric: test_accuracy, contrast"))
    bands = ('worse: "(-inf, 90]", better: "(90, inf)"', 'better: "(-inf, 0.99]", worse: "(0.99, inf)"')
    file.write_text(file.read_text().replace(*bands))
    warned = "hardly any result could miss" in code.call(project, "check").text
    return Said(warned, f"`check` {'warns: hardly any result could miss it' if warned else 'is content'}")


@attack(9, "Rely on sentences that promise more than is true")
def rely_on_words(code: Code, _folder: Path) -> Said:
    places = [code.tree / name for name in ("README.md", "docs", "templates", "harness", "hypotheses")]
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    texts = {path: path.read_text() for path in files if path.suffix in {".md", ".py", ".j2", ".yaml"}}
    untrue = re.compile("|".join(UNTRUE))
    said = [path.relative_to(code.tree) for path, text in texts.items() if untrue.search(" ".join(text.split()))]
    return Said(not said, f"still said in {', '.join(f'`{path}`' for path in said)}" if said else "none is left")


@attack(9, "Let a reader of the audit believe that nothing remains")
def believe_the_audit(code: Code, folder: Path) -> Said:
    told = "threat-model.md" in code.call(code.copy_good(folder), "audit").text
    return Said(
        told, "its last lines name the threat model" if told else "it names no list of attacks and what remains"
    )
