"""A hundred of the random files, and every hostile one under limits of time and memory."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import InvalidHypothesis
from tests.fuzz.fuzz_check import CALLS, MEBIBYTES, Fuzzer, fuzz
from tests.fuzz.mutations import hostile, originals


def test_random_files_are_accepted_or_refused_and_never_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    failures = fuzz(100, seed=20)
    said = capsys.readouterr().out
    assert failures == 0, said
    assert "accepted" in said
    assert "refused" in said


def test_every_original_goes_all_the_way(tmp_path: Path) -> None:
    fuzzer = Fuzzer(tmp_path)
    assert all(fuzzer.try_one(text.encode(), random.Random(0), "original") for text, _ in originals())


def test_hostile_files_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fuzzer = Fuzzer(tmp_path)
    for what, data in hostile().items():
        fuzzer.costliest = (0, "")
        refused, _ = fuzzer.check(data, what)
        assert fuzzer.costliest[0] < CALLS, what
        assert not (tmp_path / "pwned").exists()
        if refused is not None:
            assert len(str(refused)) < 200_000, what


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_the_command_stays_within_its_memory(tmp_path: Path) -> None:
    """All hostile files in one folder: the whole process, its imports included, stays under the limit."""
    for number, data in enumerate(hostile().values()):
        (tmp_path / f"h{number:02}.yaml").write_bytes(data)
    code = (
        "import sys, harness.cli; from harness.cli.app import app; sys.argv = ['harness', 'check', '.']\n"
        "try: app()\n"
        "except SystemExit as end: print(end.code, file=sys.stderr)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    status, kibibytes = map(int, done.stderr.split()[-2:])
    assert status == 2
    assert "Traceback" not in done.stderr
    assert kibibytes / 1024 < MEBIBYTES
    assert not (tmp_path / "pwned").exists()


def test_a_failure_would_be_noticed(tmp_path: Path) -> None:
    fuzzer = Fuzzer(tmp_path)
    refused, loaded = fuzzer.check(b"id: x\n", "incomplete")
    assert isinstance(refused, InvalidHypothesis)
    assert loaded is None
