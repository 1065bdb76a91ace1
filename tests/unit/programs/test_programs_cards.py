"""Cards: which there are, and that no two replicas that run at a time have one together."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.pipeline import device_facts
from harness.pipeline.program import list_cards_for, refuse_parallel, tell_of_kinds
from harness.pipeline.project import Settings
from harness.pipeline.session import Reporter, Session
from harness.programs import find_cards
from tests.unit.programs.toys import GOOD, make

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")


@pytest.mark.parametrize(
    ("told", "cards"),
    [
        ("0,1", ("0", "1")),
        (" 3 , 1,3", ("3", "1")),
        ("GPU-8f2,MIG-4", ("GPU-8f2", "MIG-4")),
        ("", ()),
        ("-1", ()),
        ("0,-1,2", ("0",)),
    ],
)
def test_the_user_s_environment_says_which_cards_there_are(told: str, cards: tuple[str, ...]) -> None:
    assert find_cards({"CUDA_VISIBLE_DEVICES": told}) == cards


def test_without_it_all_cards_are_found_by_their_devices(tmp_path: Path) -> None:
    for name in ("nvidia10", "nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert find_cards({}, tmp_path) == ("0", "2", "10")


def test_each_replica_has_cards_of_its_own_and_gives_them_back(tmp_path: Path) -> None:
    """Each notes its cards while it has them, and fails if another replica that runs has one of them."""
    held = tmp_path / "held"
    held.mkdir()
    script = (
        "import os, sys, time\n"
        "cards = os.environ['CUDA_VISIBLE_DEVICES'].split(',')\n"
        f"taken = [os.path.join({str(held)!r}, card) for card in cards]\n"
        "for path in taken: os.close(os.open(path, os.O_CREAT | os.O_EXCL))\n"
        "time.sleep(0.05)\n"
        "for path in taken: os.unlink(path)\n"
        "print(cards)\n"
    )
    toy = make(tmp_path, script + GOOD)
    toy.work = replace(toy.work, parallel=6, gpus=2, cards=("4", "5", "6", "7", "8"))
    result = toy.run()
    assert [one.status for one in result.replicas] == ["finished"] * 6
    logs = [json.loads(path.read_text().replace("'", '"')) for path in (tmp_path / "run/logs").iterdir()]
    assert all(len({*cards}) == 2 and {*cards} <= {"4", "5", "6", "7", "8"} for cards in logs)
    assert not any(held.iterdir())


def test_without_a_number_of_cards_all_replicas_see_the_user_s(tmp_path: Path) -> None:
    script = "import os\nprint(os.environ['CUDA_VISIBLE_DEVICES'])\n"
    toy = make(tmp_path, script + GOOD, of_arms=1, of_seeds=1)
    toy.work = replace(toy.work, environment={**os.environ, "CUDA_VISIBLE_DEVICES": "2,3"})
    toy.run()
    assert (tmp_path / "run/logs/strong-0.log").read_text() == "2,3\n"


def test_cards_are_refused_where_there_are_too_few_or_others_give_them_out() -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4"}
    assert list_cards_for(Settings(gpus=2, variables=variables)) == ("0", "1", "2", "3", "4")
    assert list_cards_for(Settings(variables=variables)) == ()
    with pytest.raises(UsageError, match="each replica is to have 6, and there are 5 cards here"):
        list_cards_for(Settings(gpus=6, variables=variables))
    with pytest.raises(UsageError, match="cards of jobs are given out by there"):
        list_cards_for(Settings(gpus=1, on="there", variables=variables))
    with pytest.raises(UsageError, match="has no effect") as refused:
        refuse_parallel(Settings(gpus=1))
    assert refused.value.where == "--gpus"


def test_a_machine_with_several_kinds_of_cards_is_told_of_where_replicas_are_given_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_facts, "CARDS", tmp_path / "gpus")
    said: list[str] = []

    def tell(**settings: Any) -> list[str]:
        said.clear()
        tell_of_kinds(Session.open(tmp_path, Settings(**settings), Reporter(say=said.append)))
        return said

    for number, model in enumerate(("NVIDIA L4", "NVIDIA L4", "NVIDIA H200")):
        assert not tell(gpus=1), "cards of one kind, or none"
        (tmp_path / f"gpus/{number}").mkdir(parents=True)
        (tmp_path / f"gpus/{number}/information").write_text(f"Model: \t {model}\nIRQ: 3\n")
    (told,) = tell(gpus=1)
    assert told == (
        "this machine has cards of several kinds (NVIDIA H200, NVIDIA L4), and nobody knows which a program takes: "
        "name those of one kind in CUDA_VISIBLE_DEVICES"
    )
    assert not tell() and not tell(gpus=1, on="there")
