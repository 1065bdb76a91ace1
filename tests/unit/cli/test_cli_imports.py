"""What short commands load: libraries that they don't need would be most of their time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
RUN = """
import sys
import harness.cli
from harness.cli.app import app
try:
    app()
except SystemExit as ended:
    code = ended.code
print(code, *sys.modules)
"""
ALWAYS = {
    *("torch", "torchvision", "sklearn", "PIL", "matplotlib", "scipy.stats", "rich.markdown", "harness.training"),
    *("pandas", "polars", "pyarrow", "tensorboard", "mlflow", "wandb", "rocrate", "harness.api"),
}
TRAINING = {"harness.plan", "harness.pipeline.run", "harness.pipeline.replicate", "filelock"}


def loaded(*arguments: str) -> set[str]:
    """The modules in memory when a command has ended."""
    command = [sys.executable, "-c", RUN, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment)
    code, *modules = ran.stdout.splitlines()[-1].split()
    assert code == "0", ran.stderr
    return set(modules)


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (("--version",), {"numpy", "pydantic", "yaml", "rich", "harness.records"}),
        (
            ("reverdict", "bp-penalty-control"),
            {"scipy", "rich", "harness.ledger.audit", "harness.pipeline.audit"} | TRAINING,
        ),
        (
            ("power", "hypotheses/mode2_direction.yaml", "--sd", "1.5"),
            {"scipy", "jinja2", "harness.ledger.audit"} | TRAINING,
        ),
        (("check", "hypotheses"), {"scipy", "jinja2", "rich", "harness.ledger.audit"} | TRAINING),
        (("audit",), {"numpy", "scipy", "jinja2", "harness.inference", "harness.verdict"} | TRAINING),
        (("show", "bp-penalty-control", "--raw"), {"scipy", "jinja2"} | TRAINING - {"harness.plan"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_short_command_loads_only_what_it_needs(arguments: tuple[str, ...], unneeded: set[str]) -> None:
    assert loaded(*arguments) & (ALWAYS | unneeded) == set()
