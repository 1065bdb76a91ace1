"""A plug-in from another package, built and installed for real, shows up like a built-in one; a broken one is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import commands
from tests.once import made_once

ROOT = Path(__file__).parents[3]
FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny-plugins"
version = "0.1"

[project.entry-points."harness.penalties"]
cubed_branch = "tiny_plugins:CubedBranch"

[project.entry-points."harness.metrics"]
loss_share = "tiny_plugins:LossShare"

[project.entry-points."harness.preconditions"]
enough_seeds = "tiny_plugins:EnoughSeeds"
unfinished = "tiny_plugins:Unfinished"

[project.entry-points."harness.rules"]
restless = "tiny_rules:Restless"

[project.entry-points."harness.optimizers"]
sign_sgd = "tiny_rules:SignSgd"

[project.entry-points."harness.schedules"]
halves = "tiny_rules:Halves"

[project.entry-points."harness.losses"]
absolute = "tiny_rules:Absolute"

[tool.setuptools]
py-modules = ["tiny_plugins", "tiny_rules"]
""",
    "tiny_plugins.py": '''\
"""Penalties from elsewhere (Nobody 2031, doi 10.0000/none)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.metrics import Metric
from harness.penalties import Penalty
from harness.preconditions import Obstacle, Precondition


class CubedBranch(Penalty):
    """λ · mean_n Σ_d |f|³."""

    name: Literal["cubed_branch"]
    knee: Annotated[float, Unit("kelvin")] = Field(default=2.5, gt=0)
    """Where it bends."""

    def value(self, branch):
        """[r, n, d] → [r]."""
        return branch.abs().pow(3).sum(-1).mean(-1)


class LossShare(Metric):
    """Training loss over log C."""

    name: Literal["loss_share"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "share of the loss at chance"

    def measure(self, evaluation):
        """[r]."""
        return evaluation.train_loss / 2.302585


class EnoughSeeds(Precondition):
    """At least so many seeds, whatever the criterion asks for."""

    name: Literal["enough_seeds"]
    least: Annotated[int, Unit("seeds")] = Field(default=20, ge=1)
    """Fewest seeds."""

    def find_obstacles(self, asked):
        """Say that there are fewer."""
        if asked.seeds < self.least:
            yield Obstacle(f"{asked.seeds} seeds are not {self.least}", "register more", ("seeds", "count"))


class Unfinished(Precondition):
    """Nobody has finished this one."""

    name: Literal["unfinished"]

    def find_obstacles(self, asked):
        """Fail."""
        return asked.arms["no such arm"].nothing
''',
    "tiny_rules.py": '''\
"""Rules, optimizers, schedules and losses from elsewhere."""

from __future__ import annotations

from typing import Literal

from harness.batched.specs import DrawSpec, Init, TensorSpec
from harness.losses import Loss
from harness.optimizers import Optimizer, add_decay, per_replica
from harness.rules import Rule, descend_through, pair_weights
from harness.schedules import Schedule


class Restless(Rule):
    """Backpropagation with a trained temperature, through feedback at the head that walks at random.

    Equation:
        B ← B + stride·ξ

    Traps:
        A walk has no end.
    """

    name: Literal["restless"]
    stride: float = 0.01
    """Length of a step of the walk."""

    def find_idle(self, model):
        """Tell that nothing walks without a stride."""
        return {} if self.stride else {"stride": "nothing walks"}

    def feedback(self, model, features, classes):
        """Return the head's way back."""
        head = model.weights(features, classes)[-1]
        return (TensorSpec(head.name, head.shape, head.init, head.group),)

    def parameters(self, model, features, classes):
        """Return one number."""
        return (TensorSpec("rule/temperature", (1,), Init("constant", 1.0), "rule"),)

    def draws(self, model, features, classes):
        """Return a step of the walk, and one number per sample."""
        shape = model.weights(features, classes)[-1].shape
        return DrawSpec("step", shape, Init("normal", 1.0)), DrawSpec("noise", (None, features), Init("uniform", 0.1))

    def evolve(self, model, p, feedback):
        """Take the step."""
        return {name: feedback[name] + self.stride * feedback["step"] for name in self._walking(feedback)}

    def objective(self, model, p, feedback, x, y, penalty, loss):
        """Compute a noisy batch."""
        pairs = pair_weights(p, {name: feedback[name] for name in self._walking(feedback)})
        made = descend_through(model, pairs, x + feedback["noise"], y, penalty, loss)
        pull = (p["rule/temperature"][:, 0] - made.loss).square()
        return type(made)(descend=made.descend + pull, loss=made.loss)

    def _walking(self, feedback):
        return [name for name in feedback if name not in ("step", "noise")]


class SignSgd(Optimizer):
    """θ ← θ − η·sign(g + λθ)."""

    name: Literal["sign_sgd"]

    def update(self, param, gradient, state, rates):
        """Do one step."""
        param.sub_(per_replica(rates.lr, param) * add_decay(gradient, param, rates).sign())


class Halves(Schedule):
    """η/2ᵗ."""

    name: Literal["halves"]

    def factor(self, epoch, epochs):
        """Return 2⁻ᵗ."""
        return 0.5**epoch


class Absolute(Loss):
    """Σ_c |z_c − t_c|."""

    name: Literal["absolute"]

    def value(self, logits, labels):
        """Return the sum."""
        return (logits - self.targets(logits, labels)).abs().sum(-1)

    def error(self, logits, labels):
        """Return the sign."""
        return (logits - self.targets(logits, labels)).sign()
''',
}


def harness(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run(arguments, folder, {**os.environ}, packages=os.pathsep.join((str(site), str(ROOT))))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip built and installed the package, offline."""

    def make(target: Path) -> None:
        source = tmp_path_factory.mktemp("source")
        for name, text in FILES.items():
            (source / name).write_text(text)
        options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "tiny-plugins", make)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = (ROOT / "tests/corpus/valid/several.yaml").read_text()
    text = text.replace(
        "rule: {name: bp}}", "rule: {name: bp}, penalty: {name: cubed_branch, strength: 0.1, knee: 3}}", 1
    )
    text = text.replace(
        "{probe_samples: 64}", "{probe_samples: 64, metrics: [test_accuracy, train_loss, loss_share]}", 1
    )
    (tmp_path / "x.yaml").write_text(text.replace("{metric: train_loss,", "{metric: loss_share,", 1))
    return tmp_path


def test_check_takes_it_and_reports_its_mistakes(site: Path, folder: Path) -> None:
    assert harness(site, folder, "check", "x.yaml").returncode == 0
    path = folder / "x.yaml"
    path.write_text(path.read_text().replace("knee: 3", "knees: 3"))
    said = harness(site, folder, "check", "x.yaml")
    assert said.returncode == 2
    assert "unknown key 'knees', did you mean 'knee'?" in said.stdout
    without = commands.run(("check", "x.yaml"), folder, {**os.environ}).stdout
    assert "no penalty is called 'cubed_branch'" in without  # not installed


def test_schema_and_explain_have_it(site: Path, folder: Path) -> None:
    made = json.loads(harness(site, folder, "schema").stdout)
    field = made["$defs"]["CubedBranch"]["properties"]["knee"]
    assert (field["default"], field["x-unit"], field["description"]) == (2.5, "kelvin", "Where it bends.")
    bare, _ = made["$defs"]["EvaluationSpec"]["properties"]["metrics"]["items"]["anyOf"]
    assert "loss_share" in bare["enum"]
    said = " ".join(harness(site, folder, "explain", "cubed_branch").stdout.split())
    assert "λ · mean_n Σ_d |f|³." in said
    assert "doi 10.0000/none" in said
    assert "knee a number above 0 2.5 kelvin Where it bends." in said
    assert "cubed_branch from other packages" in harness(site, folder, "doctor", "--device", "cpu").stdout


def test_a_rule_from_elsewhere_has_its_place_in_the_pages_and_says_what_is_idle(site: Path, folder: Path) -> None:
    said = harness(site, folder, "explain", "rule.restless").stdout
    assert "equation: B ← B + stride·ξ" in said and "traps: A walk has no end." in said
    assert harness(site, folder, "explain", "--out", "pages").returncode == 0
    page = (folder / "pages/rules.md").read_text()
    assert "## restless" in page and "**Traps.** A walk has no end." in page and "| `stride` |" in page
    text = (folder / "x.yaml").read_text().replace("rule: {name: bp}", "rule: {name: restless, stride: 0}", 1)
    (folder / "x.yaml").write_text(text)
    warned = harness(site, folder, "check", "x.yaml").stdout
    assert "warning: stride has no effect: nothing walks" in " ".join(warned.split())


def test_a_rule_from_elsewhere_is_held_to_what_is_asked_of_every_rule(site: Path) -> None:
    """The tests that go through the registry find it where its package is installed: nothing about it is mocked."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
    tests = ("tests/unit/training/test_training_rules.py", "tests/conformance/test_hidden_layers.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "restless and not zero", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert done.returncode == 0 and int(passed) >= 8, done.stdout[-3000:]


TRAINED = "optimizer: {name: sign_sgd, lr: 0.01, schedule: {name: warmup, epochs: 2, then: halves}}\n  loss: absolute"


def test_a_rule_with_tensors_of_its_own_trains_resumes_and_is_pinned(site: Path, tmp_path: Path) -> None:
    """With an optimizer, a schedule and a loss of the same package: none of them is known to a training step."""
    text = (ROOT / "tests/corpus/valid/several.yaml").read_text()
    text = text.replace("rule: {name: bp}", "rule: {name: restless, stride: 0.1}")
    (line,) = (line for line in text.splitlines() if line.startswith("  optimizer: "))
    text = text.replace(line, f"  {TRAINED}\n  save: [weights, feedback]")
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "x.yaml").write_text(text)
    shutil.copy(ROOT / "tests/corpus/valid/claims.yaml", whole)
    said = harness(site, whole, "register", "x.yaml")
    assert said.returncode == 0, said.stderr
    registered = Path(shutil.copytree(whole, tmp_path / "registered"))
    said = harness(site, whole, "run", "x.yaml", "--device", "cpu")
    assert list(whole.glob("verdicts/*/*/results.json")), said.stderr
    (event,) = (e for e in read_events(whole) if e["type"] == "registered")
    pins = event["body"]["pins"]
    named = {"rules/restless", "optimizers/sign_sgd", "schedules/warmup", "schedules/halves", "losses/absolute"}
    assert named <= pins["plugins"].keys() and "tiny-plugins" in pins["packages"]
    stopped = stop_amid_training(site, registered, tmp_path)
    harness(site, stopped, *RESUMED)
    one, two = (next(folder.glob("verdicts/*/*/results.json")).read_bytes() for folder in (whole, stopped))
    assert one == two
    from safetensors.torch import load_file

    kept = [load_file(path) for path in whole.glob("verdicts/*/*/weights/*/*.safetensors")]
    own = [tensors for tensors in kept if "weights/rule/temperature" in tensors]
    assert own and all((tensors["weights/rule/temperature"] != 1).all() for tensors in own)
    assert all("weights/evolved/head.weight" in tensors for tensors in own)


RESUMED = ("run", "x.yaml", "--device", "cpu", "--checkpoint-every", "0.001")


def stop_amid_training(site: Path, registered: Path, below: Path) -> Path:
    """Return a copy in which a run was killed after a checkpoint.

    On a busy machine a run may be done before it is killed, so others are started until one is not.
    """
    packages = os.pathsep.join((str(site), str(ROOT)))
    for number in range(20):
        stopped = Path(shutil.copytree(registered, below / f"stopped-{number}"))
        process = commands.start(RESUMED, stopped, {**os.environ}, stdout=subprocess.DEVNULL, packages=packages)
        while process.poll() is None and not list(stopped.glob("verdicts/*/*/work/*.safetensors")):
            time.sleep(0.005)
        process.kill()
        process.communicate()
        if not {"run_finished", "run_failed", "verdict"} & {event["type"] for event in read_events(stopped)}:
            assert list(stopped.glob("verdicts/*/*/work/*")), "it left nothing to go on from"
            return stopped
    raise AssertionError("whatever was started was done before it was killed")


def read_events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in folder.glob("verdicts/ledger/events/*.json")]


def asking(folder: Path, precondition: str) -> Path:
    """The file with a precondition."""
    path = folder / "x.yaml"
    path.write_text(f"{path.read_text()}preconditions: [{precondition}]\n")
    return path


def test_a_precondition_from_elsewhere_stops_check_plan_and_registration(site: Path, folder: Path) -> None:
    path = asking(folder, "{name: enough_seeds, least: 1000}")
    place = next(i for i, line in enumerate(path.read_text().splitlines(), 1) if line.startswith("seeds:"))
    for verb in ("check", "plan", "register", "run"):
        said = harness(site, folder, verb, "x.yaml")
        text = said.stdout + said.stderr
        assert said.returncode == 2
        assert (
            f"x.yaml:{place}:" in text
            and "precondition enough_seeds is not met: " in text
            and "→ register more" in text
        )
    assert not list(folder.rglob("verdicts/ledger/events/*.json"))


def test_as_a_warning_it_is_told_and_pinned(site: Path, folder: Path) -> None:
    asking(folder, "{name: enough_seeds, least: 1000, severity: warning}")
    for verb in ("check", "plan", "register"):
        said = harness(site, folder, verb, "x.yaml")
        assert said.returncode == 0, said.stderr
        assert "warning: precondition enough_seeds is not met: " in said.stdout + said.stderr
    (event,) = (json.loads(path.read_text()) for path in folder.rglob("verdicts/ledger/events/*.json"))
    pins = event["body"]["pins"]
    assert re.fullmatch("[0-9a-f]{64}", pins["plugins"]["preconditions/enough_seeds"])
    assert "tiny-plugins" in pins["packages"]


def test_a_precondition_that_fails_itself_is_named(site: Path, folder: Path) -> None:
    asking(folder, "{name: unfinished}")
    said = harness(site, folder, "check", "x.yaml")
    assert said.returncode == 2
    assert "precondition unfinished could not be checked: KeyError: 'no such arm'" in said.stdout
    assert "Traceback" not in said.stdout + said.stderr


@pytest.mark.parametrize("family", ["rules", "metrics"])
def test_a_plug_in_that_cannot_be_loaded_is_named(family: str, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "bad_plugins-1.dist-info").mkdir(parents=True)
    (broken / "bad_plugins-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugins\nVersion: 1\n")
    (broken / "bad_plugins-1.dist-info/entry_points.txt").write_text(f"[harness.{family}]\nbad = bad_plugins:Bad\n")
    (broken / "bad_plugins.py").write_text("raise RuntimeError('half installed')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(broken), str(ROOT)))}
    said = commands.run(("check", "x.yaml"), folder, environment)
    assert said.returncode == 1
    assert f"harness.{family}:bad, from the package bad-plugins: this plug-in can't be loaded" in said.stderr
    assert "half installed" in said.stderr
    assert "Traceback" not in said.stderr
    for form in ("text", "json"):
        examined = commands.run(("doctor", "--format", form), folder, environment)
        assert examined.returncode == 2 and "the package bad-plugins" in examined.stdout, examined.stderr
        assert "repair or uninstall that package" in examined.stdout
        assert ("BROKEN plug-ins" in examined.stdout) == (form == "text")
        assert ("nothing else was examined" in examined.stdout) == (family == "metrics")  # any file may name those
