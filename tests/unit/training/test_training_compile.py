"""Steps that are compiled, on a processor as far as they compile there, and where no compiler works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch._inductor.config as inductor

from harness.training import open_device, train
from harness.training.program import Program, build_program
from tests.unit.training.training_inputs import arm, cohort, digits, planned

SETUP = {"epochs": 1, "batch_size": 50, "evaluation": {"metrics": ["test_accuracy"]}}


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have the compiler of C++ fail, as where there is none; nothing is taken from a cache."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch.compiler.reset()
    with inductor.patch({"cpp.cxx": (None, "/bin/false")}):
        yield
    torch.compiler.reset()


def trained(kind: str) -> Program:
    arms = {"a": arm("fa", setup=SETUP)}
    program = build_program(cohort(arms, [1, 2]), digits(120), open_device("cpu"), kind=kind)  # type: ignore[arg-type]
    program.begin_epoch(0, program.draw(0))
    program.run_epoch()
    return program


@pytest.mark.usefixtures("without_compiler")
def test_where_no_compiler_works_steps_are_not_compiled_and_a_note_says_why() -> None:
    plain, fallen = trained("autograd"), trained("compiled")
    assert plain.step.note is None
    assert fallen.step.note is not None
    assert "No working C++ compiler found" in fallen.step.note and "/bin/false" in fallen.step.note
    for name, tensor in plain.state.params.items():
        assert torch.equal(tensor, fallen.state.params[name]), "the step that failed left nothing behind"
    assert torch.equal(plain.state.loss_sum, fallen.state.loss_sum)
    assert plain.state.steps.item() == fallen.state.steps.item() == 3


@pytest.mark.usefixtures("without_compiler")
def test_it_is_told_once_for_all_cohorts(tmp_path: Path) -> None:
    """A device that has steps compiled is a card; here it is a processor, whose compiler fails in the same way."""
    device = replace(open_device("cpu"), compile_steps=0, workers=1)
    arms = [cohort({name: arm("fa", setup=SETUP)}, [1]) for name in ("a", "b")]
    said: list[str] = []
    done = train(
        planned(*arms),
        {"digits": digits(120)},
        device,
        tmp_path,
        report=lambda at: said.extend(filter(None, [at.message])),
    )
    assert [replica.status for replica in done.replicas] == ["finished"] * 2
    assert len(said) == 1 and said[0].startswith("torch.compile failed (")


def test_an_error_of_the_step_itself_is_not_taken_for_one_of_the_compiler(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    def fail(*_: object) -> None:
        raise Broken("of the step")

    program = build_program(cohort({"a": arm("fa", setup=SETUP)}, [1]), digits(120), open_device("cpu"))
    step = program.step
    step.functions = step.functions.__class__(**vars(step.functions) | {"gather": fail})  # type: ignore[attr-defined]
    step.compiled = True  # type: ignore[attr-defined]
    program.prepare()
    program.begin_epoch(0, program.draw(0))
    with pytest.raises(Broken):
        program.run_epoch()
