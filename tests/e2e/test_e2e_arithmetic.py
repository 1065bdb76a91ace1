"""What selects a device's arithmetic is recorded and compared as the device is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.ledger.attempt import list_arithmetic_changes
from tests.e2e import commands
from tests.e2e.projects import Project

RUN = ["run", "hypotheses/tiny.yaml", "--device", "cpu"]
OTHER = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}


def harness_otherwise(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give a command with the other arithmetic, which counts from the start of a process on: by a server with it."""
    return commands.run(arguments, project.root, project.environment(**OTHER), kept=True)


def test_an_attempt_does_not_go_on_with_another_arithmetic(finished: Project, registered_only: Project) -> None:
    process = registered_only.start_until("cohort 2", *RUN, "--checkpoint-every", "0")
    process.kill()
    process.communicate()
    refused = harness_otherwise(registered_only, *RUN)
    assert refused.returncode == 2, refused.stderr
    assert "its MKL_CBWR changed: not set → COMPATIBLE" in refused.stderr
    assert "its ONEDNN_MAX_CPU_ISA changed: not set → SSE41" in refused.stderr
    assert not registered_only.events("run_aborted")
    ran = registered_only.harness(*RUN, MKL_NUM_THREADS="2")  # what does not reach the bits is not compared
    assert ran.returncode == 0 and "resuming attempt" in ran.stderr, ran.stderr
    (expected,), (resumed,) = finished.runs(), registered_only.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()


def test_a_rerun_with_another_arithmetic_is_held_to_the_statistics(finished: Project, tmp_path: Path) -> None:
    """With Intel's library, other bits under the name of the same device: no failed replication."""
    shutil.copytree(finished.root, tmp_path / "copy")
    copy = Project(tmp_path / "copy")
    again = harness_otherwise(copy, "replicate", "tiny", "--device", "cpu")
    assert again.returncode == 0, again.stdout + again.stderr
    (event,) = copy.events("replicated")
    assert event["body"]["expected"] == "statistics"
    assert event["body"]["agreement"] in ("statistics", "bits")  # other libraries don't know these variables
    assert event["body"]["circumstances"] == [
        "its MKL_CBWR changed: not set → COMPATIBLE",
        "its ONEDNN_MAX_CPU_ISA changed: not set → SSE41",
    ]
    assert event["body"]["arithmetic"].items() >= OTHER.items()
    (started,) = copy.events("run_started")
    assert event["body"]["device"] == started["body"]["device"]
    audited = copy.harness("audit", "--recompute")
    assert audited.returncode == 5, audited.stdout  # not in git; 4 were a rerun's event that does not follow
    assert "statistics expected, agreement: " in " ".join((audited.stdout + audited.stderr).split())


def test_what_is_set_stands_on_the_page(registered_only: Project) -> None:
    ran = harness_otherwise(registered_only, *RUN)
    assert ran.returncode == 0, ran.stderr
    (folder,) = registered_only.runs()
    (machine,) = [line for line in (folder / "verdict.md").read_text().splitlines() if line.startswith("| Machine ")]
    assert "; MKL\\_CBWR `COMPATIBLE`; ONEDNN\\_MAX\\_CPU\\_ISA `SSE41`; " in machine
    assert json.loads((folder / "env.json").read_text())["arithmetic"].items() >= OTHER.items()
    assert registered_only.harness("reverdict", "tiny").returncode == 0
    (data,) = [line for line in (folder / "verdict.md").read_text().splitlines() if line.startswith("| Data: digits ")]
    assert "; training images per class: from " in data
    told = json.loads(harness_otherwise(registered_only, "doctor", "--format", "json", "--device", "cpu").stdout)
    assert any(one["what"] == "device" and "MKL_CBWR COMPATIBLE" in json.dumps(one) for one in told)


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        (None, {"MKL_CBWR": "AVX2"}, ()),  # an event from before it was noted says nothing
        ({"MKL_CBWR": "AVX2"}, None, ()),
        ({"MKL_CBWR": "AVX2"}, {"MKL_CBWR": "AVX2"}, ()),
        ({"MKL_CBWR": "AVX2"}, {}, ("its MKL_CBWR changed: AVX2 → not set",)),
    ],
)
def test_unknown_is_no_difference(
    before: dict[str, str] | None, now: dict[str, str] | None, named: tuple[str, ...]
) -> None:
    assert list_arithmetic_changes(before, now) == named
