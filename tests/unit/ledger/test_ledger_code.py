"""The digest of harness's own code: what counts, and what each file is for."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
from harness.ledger import describe_environment
from harness.ledger.code import KINDS, MEANING, VERSION_FILE, digest_package, find_kind, list_source_files

PACKAGE = Path(harness.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__")))


def by_hand(kind: str) -> str:
    """Of a kind's files, as a shell would give it."""
    names = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    names = sorted((n for n in names if n != VERSION_FILE and find_kind(n) == kind), key=lambda name: name.split("/"))
    shown = subprocess.run(["sha256sum", *names], cwd=PACKAGE, capture_output=True, check=True).stdout
    return hashlib.sha256(shown).hexdigest()


def test_the_code_is_digested_file_by_file_and_kind_by_kind(tmp_path: Path) -> None:
    found = digest_package()
    assert found.kinds == {kind: by_hand(kind) for kind in sorted(MEANING)}
    lines = "".join(f"{digest}  {kind}\n" for kind, digest in sorted(found.kinds.items()))
    assert found.digest == hashlib.sha256(lines.encode()).hexdigest()
    noted = describe_environment(tmp_path)
    assert (noted.code, noted.code_kinds) == (found.digest, found.kinds)


def test_what_python_does_not_read_is_no_difference(package: Path) -> None:
    before = digest_package(package)
    for path in package.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for copy in (
        ".ipynb_checkpoints/loop-checkpoint.py",
        "training/.hidden.py",
        "training/loop copy.py",
        "training/#loop#.py",
    ):
        (package / copy).parent.mkdir(exist_ok=True)
        (package / copy).write_text("x = 1\n")
    (package / "training/.#loop.py").symlink_to("somebody@somewhere.123:456")  # an editor's lock
    (package / "training/gone.py").symlink_to("nowhere.py")
    (package / VERSION_FILE).write_text('__version__ = "9.9"\n')
    assert digest_package(package) == before == digest_package()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("training/loop.py", "numbers"),
        ("training/steps/kernels/triton/forward.py", "numbers"),
        ("datasets/_images.py", "numbers"),
        ("pipeline/run_steps.py", "numbers"),
        ("rules/dfa.py", "plugins"),
        ("criteria/t.py", "plugins"),
        ("criteria/__init__.py", "judgement"),
        ("inference/outcome.py", "judgement"),
        ("system/storage.py", "numbers"),
        ("system/locks.py", "numbers"),
        ("plugins/fields.py", "numbers"),
        ("verdict/text.py", "words"),
        ("cli/run.py", "words"),
        ("ledger/audit/seeds.py", "words"),
    ],
)
def test_a_changed_file_changes_its_kind_and_no_other(package: Path, name: str, kind: str) -> None:
    before = digest_package(package)
    with (package / name).open("a") as file:
        file.write("# another\n")
    now = digest_package(package)
    assert now.digest != before.digest
    assert [other for other in MEANING if now.kinds[other] != before.kinds[other]] == [kind]


def test_every_file_has_a_kind_and_every_entry_a_file() -> None:
    """A new folder or file must be given its kind: until then it counts as the gravest."""
    names = [path.relative_to(PACKAGE).as_posix().removesuffix(".py") for path in list_source_files(PACKAGE)]
    fitting = {
        name: [entry for entry in KINDS if f"{name}/".startswith(f"{entry}/")] for name in names if name != "__init__"
    }
    assert [name for name, entries in fitting.items() if not entries and find_kind(name) != "plugins"] == []
    assert set(KINDS) == {max(entries, key=len) for entries in fitting.values() if entries}
    assert find_kind("engine_of_tomorrow/loop.py") == "numbers"


def test_the_file_that_is_left_out_holds_the_version_and_nothing_else() -> None:
    lines = [line for line in (PACKAGE / VERSION_FILE).read_text().splitlines() if line]
    assert lines[0].startswith('"""') and lines[0].endswith('"""')
    assert lines[1:] == [f'__version__ = "{harness.__version__}"']
