"""What is done for a verdict while a card computes: nothing of it may end a run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import Images
from harness.pipeline.judge import prepare_verdict

PROGRAM = """
import sys
from harness.verdict import load_in_parts, try_drawing
print(sum(1 for _ in load_in_parts()), "matplotlib" in sys.modules)
try_drawing()
"""


def small_images() -> Images:
    pixels = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(4) % 2
    return Images(pixels, labels, pixels, labels, classes=("a", "b"), origin="made", canonical=False)


def test_facts_about_the_data_are_there_when_the_page_asks() -> None:
    images = small_images()
    assert "notes" not in vars(images)
    assert len(list(prepare_verdict({"one": images, "two": replace(images)}))) == 5
    assert "4 of 4 test images are copies" in vars(images)["notes"][0]


def test_what_fails_fails_where_it_is_needed() -> None:
    images, whole = small_images(), replace(small_images())
    object.__setattr__(images, "test_images", None)
    with pytest.raises(TypeError):
        _ = images.notes
    assert len(list(prepare_verdict({"broken": images, "whole": whole}))) == 5
    assert "notes" not in vars(images) and "notes" in vars(whole)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("matplotlib.py", "raise ImportError('libfreetype.so.6 is missing')", "0 False"),
        ("matplotlibrc", "lines.linewidth: 9\n", "0 False"),
        ("nothing", "", "3 True"),
    ],
)
def test_matplotlib_is_loaded_in_parts_where_that_disturbs_nobody(
    file: str, text: str, said: str, tmp_path: Path
) -> None:
    """Where its settings lie in the current folder, it is loaded in another; checkpoints may be written meanwhile."""
    (tmp_path / file).write_text(text)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == said, ran.stderr
    assert ("libfreetype" in ran.stderr) == (ran.returncode != 0) == (file == "matplotlib.py"), ran.stderr
