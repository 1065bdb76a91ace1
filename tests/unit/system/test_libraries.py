"""What is told of a library that can't be loaded, and what stays a defect."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from harness.system.libraries import explain_load_failure

READS = "import os\nSIZE = int(os.environ.get('{name}', '1'))\n"


def raised(action: object) -> BaseException:
    with pytest.raises((Exception, SystemExit)) as caught:
        action()  # type: ignore[operator]
    return caught.value


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "oddlib", raising=False)
    return tmp_path / "oddlib.py"


def loading(library: Path, text: str) -> BaseException:
    library.write_text(text)
    importlib.invalidate_caches()
    return raised(lambda: importlib.import_module("oddlib"))


def test_the_variable_whose_value_is_told_is_named(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD_SIZE", "abc")
    error = loading(library, READS.format(name="ODD_SIZE"))
    told = explain_load_failure(error, {"ODD_SIZE": "abc", "ODD_OTHER": "abc", "HOME": "/home/abc"})
    assert told is not None and (told.where, told.exit_code) == ("ODD_SIZE", 2)
    assert "oddlib can't be loaded" in told.message and "'abc'" in told.message


def test_no_variable_is_named_that_the_library_does_not_read(library: Path) -> None:
    told = explain_load_failure(loading(library, "raise RuntimeError('abc')"), {"ODD_SIZE": "abc", "A": "raise"})
    assert told is not None and told.where is None and "ODD_SIZE" not in str(told)


def test_a_library_that_ends_the_program_is_named(library: Path) -> None:
    told = explain_load_failure(loading(library, "import sys\nsys.exit(0)"), {})
    assert told is not None and "oddlib can't be loaded here: it ended the program" in told.message


def test_what_goes_wrong_in_use_is_no_matter_of_loading(library: Path) -> None:
    library.write_text("def work():\n    raise ValueError('ODD_SIZE')\n")
    module = importlib.import_module("oddlib")
    assert explain_load_failure(raised(module.work), {"ODD_SIZE": "1"}) is None
    assert explain_load_failure(ValueError("ODD_SIZE"), {"ODD_SIZE": "1"}) is None


def test_a_defect_of_harness_stays_one() -> None:
    def work() -> None:
        importlib.import_module("harness.no_such_module")

    assert explain_load_failure(raised(work), {}) is None
