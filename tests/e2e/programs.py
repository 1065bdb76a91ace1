"""A project in git whose hypothesis a small program trains."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import rfc8785
import yaml

from harness.ledger.seeding import derive_seeds
from tests.e2e.projects import Project
from tests.unit.programs.told import Row, list_rows
from tests.unit.programs.toys import BASE, GOOD

SETUP = {
    "dataset": {"name": "digits"},
    "model": {"name": "residual_mlp", "width": 8, "blocks": 1},
    "optimizer": {"name": "adamw", "lr": 0.003},
    "epochs": 1,
    "batch_size": 256,
    "evaluation": {"probe_samples": 16, "metrics": ["test_accuracy"]},
}
BESIDE = {
    "metrics": {"test_accuracy": {"built_in": True}},
    "setup": SETUP,
    "arms": {
        "own": {"label": "Own", "rule": {"name": "bp"}},
        "weak": {"label": "Weak", "parameters": {"alpha": 0.25}},
    },
    "estimands": {"margin": {"metric": "test_accuracy", "contrast": "weak - own", "unit": "pp"}},
    "prediction": {"outcome": "better", "why": "One epoch is little."},
}
"""Changes of the toy's hypothesis by which harness trains one of its arms."""


class ProgramProject(Project):
    """A project folder with a program, committed; programs that were allowed are noted beside it, not by the user."""

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(HARNESS_CACHE=str(self.root.parent / f"{self.root.name}-cache"), **more)

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(self.root), *who, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")

    @property
    def folder(self) -> Path:
        """Folder of the only run."""
        (found,) = self.root.glob("verdicts/toy/*/verdict.json")
        return found.parent


def copy_project(made: Path, folder: Path) -> ProgramProject:
    """Copy a project that was made once into a folder, where it may be changed."""
    return ProgramProject(Path(shutil.copytree(made, folder / "project")))


def make_program_project(root: Path, script: str = GOOD, **changes: object) -> ProgramProject:
    """Make a project whose only code is ``toy.py``."""
    (root / "hypotheses").mkdir(parents=True)
    told = yaml.safe_load(BASE)
    program = {"command": ["python3", "toy.py", "{alpha}"], "lock": "uv.lock", "timeout": "1 min"}
    told |= {"program": program | changes.pop("program", {})}  # type: ignore[operator]
    (root / "hypotheses/toy.yaml").write_text(yaml.safe_dump(told | changes, sort_keys=False))
    (root / "toy.py").write_text(script)
    (root / "uv.lock").write_text("# nothing is needed\n")
    project = ProgramProject(root)
    project.git("init", "--quiet")
    project.commit()
    return project


WIDE = {"level": 0.999999}
"""A tolerance of repetitions that other seeds keep to, too: at the usual level one in a hundred would not agree."""


def make_judged_project(root: Path) -> None:
    """Make a project whose program was run and judged, all of it committed."""
    project = make_program_project(root, program={"deterministic": True}, replication=WIDE)
    ran = project.harness("run", "hypotheses/toy.yaml", "--yes")
    assert ran.returncode == 0, ran.stderr
    project.commit()


def register_toy(root: Path, **changes: object) -> ProgramProject:
    """Make a project whose program is registered and was not run, all of it committed."""
    project = make_program_project(root, **changes)
    registered = project.harness("register", "hypotheses/toy.yaml")
    assert registered.returncode == 0, registered.stderr
    project.commit()
    return project


def tell_runs(project: ProgramProject, **more: object) -> list[Row]:
    """Return runs of the registered toy as somebody elsewhere would tell them, who made them just now."""
    (event,) = project.events("registered")
    digest = hashlib.sha256(rfc8785.dumps(event)).hexdigest()
    started = datetime.now(UTC).isoformat()
    commit = event["body"]["pins"]["program"]["commit"]
    return list_rows(derive_seeds(digest, 3), started, **{"commit": commit, **more})


UNDECLARED = "results of this question were explored before"
OLD = (5, 3, 9, 4)
"""Seeds of runs that were made before anything was registered."""


def tell_old_runs(**more: object) -> list[Row]:
    """Return runs of the toy from long ago; one of them has the parameters of no arm."""
    rows = list_rows(OLD, "", **more)
    return [*rows, {**rows[0], "run": "tried", "parameters": {"alpha": 0.9}}]


def make_explored_project(root: Path) -> None:
    """Make a project whose hypothesis is not registered, and of which earlier runs were explored; all of it committed.

    Its program would leave a file if it ran. The outcome that the file's rules would give walks back a claim.
    """
    moved = yaml.safe_load(BASE)["implications"] | {"worse": {"says": "It harms.", "walks_back": ["harmless"]}}
    script = f"open({str(root / 'it-ran')!r}, 'w').close()\n"
    project = make_program_project(root, script, implications=moved, family="decays")
    (project.root / "hypotheses/claims.yaml").write_text("claims:\n  harmless: {statement: It is harmless.}\n")
    runs = project.root.parent / f"{root.name}-old.json"
    runs.write_text(json.dumps({"runs": tell_old_runs()}))
    explored = project.harness("explore", "hypotheses/toy.yaml", str(runs))
    assert explored.returncode == 0, explored.stderr
    runs.unlink()  # the trail has it
    project.commit()


def make_linked_project(root: Path) -> None:
    """Make a project with runs that were made elsewhere, linked and judged, all of it committed."""
    project = register_toy(root, program={"deterministic": True})
    rows = tell_runs(project)
    (project.root / "runs.json").write_text(json.dumps({"runs": [*rows, {**rows[0], "run": "extra", "seed": 7}]}))
    linked = project.harness("link", "hypotheses/toy.yaml", "runs.json")
    assert linked.returncode == 0, linked.stderr
    (project.root / "runs.json").unlink()  # the trail has it
    project.commit()
