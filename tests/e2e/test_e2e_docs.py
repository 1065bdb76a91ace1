"""Documentation that cannot drift: commands in README exist and run, CI runs what README says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.projects import REPOSITORY, Project

README = (REPOSITORY / "README.md").read_text()


def block(mark: str, page: str = "README.md") -> list[str]:
    """The lines of the code block below ``<!-- mark -->``."""
    found = re.search(rf"<!-- {mark} -->\n\n```bash\n(.*?)\n```", (REPOSITORY / page).read_text(), re.DOTALL)
    assert found, f"{page} has no block {mark!r}"
    return found[1].splitlines()


def named_commands() -> list[list[str]]:
    """Every harness command that README, CONTRIBUTING and the verdict's template name."""
    texts = [README, (REPOSITORY / "CONTRIBUTING.md").read_text(), (REPOSITORY / "templates/verdict.md.j2").read_text()]
    found = re.findall(r"(?:^\$ |^ {4}|^|`)(harness [a-z]+(?: [^`\n#{<]*)?)", "\n".join(texts), re.MULTILINE)
    return [shlex.split(command) for command in found]


@pytest.mark.parametrize(
    "place", [("tests",), ("quick start",), ("pages", "CONTRIBUTING.md"), ("examples", "CONTRIBUTING.md")], ids=" ".join
)
def test_ci_runs_the_readmes_two_commands_builds_the_pages_and_runs_the_examples(place: tuple[str, ...]) -> None:
    assert block("tests")[-1] == "tests/run" and block("quick start")[-1].startswith("harness run ")
    script = (REPOSITORY / ".ci/run").read_text()
    (function,) = re.findall(r"^block\(\) .*$", script, re.MULTILINE)
    extracted = subprocess.run(
        ["bash", "-c", f'{function}\nblock "$@"', "bash", *place],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert extracted.stdout.splitlines() == block(*place)
    assert f"$(block {' '.join(place)})" in script.replace('"', "")


@cache
def read_help(*verb: str) -> str:
    ran = Project(REPOSITORY).harness(*verb, "--help", COLUMNS="200")
    assert ran.returncode == 0, f"harness {' '.join(verb)} does not exist"
    return ran.stdout


def test_every_named_command_exists_with_its_options() -> None:
    commands = named_commands()
    assert len(commands) > 10
    for _, verb, *rest in commands:
        shown = read_help(verb)
        for option in (word for word in rest if word.startswith("--")):
            assert option in shown, f"harness {verb} has no {option}"


def test_the_reference_names_every_verb_and_option() -> None:
    top = read_help()
    verbs = re.findall(r"^│ ([a-z]+) ", top[top.index("Commands") :], re.MULTILINE)
    assert {"run", "plan", "check", "list", "show"} <= set(verbs)
    reference = README[README.index("## Reference") :]
    for verb in verbs:
        assert f"`harness {verb} " in reference, verb
        for option in set(re.findall(r"--[a-z-]+", read_help(verb))) - {"--help"}:
            assert option in reference, f"{verb} {option}"


def test_the_tour_runs_and_the_quick_start_decides_as_predicted(tmp_path: Path) -> None:
    """README's commands in its order, in a copy of the project; the ones that show mistakes excepted."""
    project = Project(tmp_path / "project")
    for folder in ("hypotheses", "verdicts"):
        shutil.copytree(REPOSITORY / folder, project.root / folder)
    tour = re.split(r"A\s+mistake\s+in\s+a\s+file", README[README.index("## A tour") :])[0]
    commands = [shlex.split(line) for line in re.findall(r"^\$ (harness .*)$", tour, re.MULTILINE)]
    assert block("quick start")[-1] == shlex.join(commands[1])
    said = {}
    for _, *arguments in commands:
        ran = project.harness(*arguments, OMP_NUM_THREADS="2")
        assert ran.returncode == 0, f"{arguments}: {ran.stderr}"
        said[arguments[0]] = ran.stdout + ran.stderr
    assert "credit_fails (as predicted)" in said["run"], said["run"]
    assert "the same to the byte" in said["reverdict"]
    assert "quickstart-digits" in said["list"]


def test_committed_verdicts_are_what_their_results_say() -> None:
    """Every verdict in the repository is recomputed from its stored results."""
    project = Project(REPOSITORY)
    runs = sorted(path.parent.name for path in REPOSITORY.glob("verdicts/*/*/results.json"))
    runs = [run for run in runs if not run.startswith("pilot-")]
    assert runs
    for run in runs:
        ran = project.harness("reverdict", run)
        assert ran.returncode == 0, f"{run}: {ran.stderr}"


@pytest.mark.parametrize("page", sorted(REPOSITORY.glob("*.md")) + sorted(REPOSITORY.glob("docs/**/*.md")), ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


RECORDS = sorted(REPOSITORY.glob("docs/decisions/[0-9]*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_every_decision_has_its_number_a_status_and_a_date_and_stands_in_the_index(record: Path) -> None:
    number = int(record.name[:4])
    head, said, *_ = record.read_text(encoding="utf-8").split("\n\n")
    title = head.removeprefix(f"# {number}. ")
    assert title != head, f"the first line must be '# {number}. …'"
    said = " ".join(said.split())  # it may be wrapped
    status = re.fullmatch(r"Status: ((?:proposed|accepted|superseded|rejected)\b.*)\. Date: (\d{4}-\d\d-\d\d)\.", said)
    assert status, "the second paragraph must be 'Status: accepted. Date: 2026-11-28.'"
    line = f"| {number} | [{title}]({record.name}) | {status[1]} | {status[2]} |"
    index = (record.parent / "README.md").read_text(encoding="utf-8").splitlines()
    assert line in index, f"docs/decisions/README.md lacks the line {line}"


def test_the_index_lists_every_decision_once_in_order() -> None:
    index = (REPOSITORY / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \d+ \| .*\]\(([^)]+)\) \| [^|]* \| [\d-]+ \|$", index, re.MULTILINE) == [
        record.name for record in RECORDS
    ]
