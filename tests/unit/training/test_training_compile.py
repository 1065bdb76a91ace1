"""Steps that are compiled, on a processor as far as they compile there, and where no compiler works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.errors import CompilerFailed
from harness.training import Run, open_device, train
from tests.unit.training.training_inputs import arm, cohort, digits, planned

SETUP = {"epochs": 1, "batch_size": 50, "evaluation": {"metrics": ["test_accuracy"]}}


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have the compiler of C++ fail, as where there is none; nothing is taken from a cache."""
    import torch._inductor.config as inductor  # takes seconds, of whoever collects the tests too

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch.compiler.reset()
    with inductor.patch({"cpp.cxx": (None, "/bin/false")}):
        yield
    torch.compiler.reset()


@pytest.mark.usefixtures("without_compiler")
def test_where_no_compiler_works_nothing_is_trained_and_the_cause_is_named(tmp_path: Path) -> None:
    """A device that has steps compiled is a card; here it is a processor, whose compiler fails in the same way."""
    device = replace(open_device("cpu"), compile_steps=0, workers=1)
    one = planned(cohort({"a": arm("fa", setup=SETUP)}, [1]))
    with pytest.raises(CompilerFailed, match=r"No working C.. compiler found.*/bin/false") as refused:
        train(one, Run({"digits": digits(120)}, device, tmp_path))
    assert refused.value.where == "--compile" and "--compile off" in str(refused.value.remedy)
