"""A project whose author wrote what a page might obey, with every kind of event that a page tells of."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.projects import TINY, Project

SCRIPT = "<script>window.obeyed=1</script><img src=x onerror=window.obeyed=1>"
TURNED, COLOURED = "\u202eright-to-left\u202c", "\x1b[31mred\x1b[0m"
LONG = "0123456789" * 1000
TITLE = f'{SCRIPT} "quoted" {{{{ 7 * 7 }}}} &amp; {LONG[:3000]}'
CLAIM = f"</text></svg>{SCRIPT} مرحبا"
LABEL = "<b>BP</b> & 'one' שלום"
REASON = f"<a href='javascript:window.obeyed=1'>a better place</a> {COLOURED} ::error::no"


def quote(text: str) -> str:
    """Return text as a YAML scalar."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_first() -> str:
    """Return a hypothesis that tunes an arm, belongs to a family, and confirms its prediction."""
    text = TINY.replace("id: tiny", "id: tiny\nfamily: digits")
    text = text.replace("BP beats frozen blocks on a few digits", quote(TITLE))
    text = text.replace("Does it?", quote(f"Does it? {SCRIPT}")).replace("label: BP,", f"label: {quote(LABEL)},")
    text = text.replace("[depth-helps]", "[depth-helps, digits-can]")
    text = text.replace("Depth helps.", quote(f"Depth helps. {SCRIPT}"))
    text = text.replace("dataset: {name: digits}", "dataset: {name: digits}\n  validation: {share: 0.2}")
    text = text.replace("test_accuracy, gradient_norm", "test_accuracy, validation_accuracy, train_loss, gradient_norm")
    text = text.replace("No reference.", quote(f"No reference. {SCRIPT}"))
    space = "{setup.optimizer.lr: [1.0e-3, 3.0e-3]}"
    tuning = f"tuning: {{select: validation_accuracy, seeds: 2, space: {{bp: {space}, shallow: {space}}}}}\nseeds:"
    return text.replace("seeds: {count", tuning + " {count", 1)


def write_second() -> str:
    """Return a hypothesis that comes out otherwise than predicted, and walks back what the first supports."""
    text = TINY.replace("id: tiny", "id: other\nfamily: digits").replace("epochs: 8", "epochs: 4")
    text = text.replace('worse: "(-inf, 0]", better: "(0, inf)"', 'better: "(-inf, 0]", worse: "(0, inf)"')
    return text.replace("BP beats frozen blocks on a few digits", "Frozen blocks beat BP")


def make_hostile(root: Path) -> Project:
    """Make the project: two judged hypotheses, an amendment, a search, a walk-back, files that have moved on."""
    (root / "hypotheses").mkdir(parents=True)
    project = Project(root)
    claims = f"claims:\n  depth-helps: {{statement: {quote(CLAIM)}}}\n"
    claims += "  depth-is-all:\n    statement: Nothing else helps.\n    stands_on: [depth-helps]\n"
    claims += "  digits-can: {statement: Digits can be learnt.}\n"
    claims += "  on-digits: {statement: They are learnt well., stands_on: [digits-can]}\n"
    claims += "  above-all:\n    statement: All stands on it.\n    stands_on: [depth-is-all, depth-helps]\n"
    (root / "hypotheses/claims.yaml").write_text(claims, encoding="utf-8")
    (root / "hypotheses/tiny.yaml").write_text(write_first(), encoding="utf-8")
    (root / "hypotheses/other.yaml").write_text(write_second(), encoding="utf-8")
    run(project, "run", "hypotheses/tiny.yaml", "--device", "cpu")
    project.edit("label: DFA", "label: DFA again")
    run(project, "amend", "hypotheses/tiny.yaml", "--reason", REASON)
    run(project, "run", "hypotheses/other.yaml", "--device", "cpu")
    project.edit("epochs: 4", "epochs: 5", "other.yaml")
    project.edit("epochs: 8", f"epochs: 9  # {SCRIPT} {LONG} {TURNED} {COLOURED}")
    return project


def run(project: Project, *arguments: str) -> None:
    """Give a command that must succeed."""
    done = project.harness(*arguments)
    assert done.returncode == 0, done.stderr
