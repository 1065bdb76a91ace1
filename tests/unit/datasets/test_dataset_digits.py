"""The digits that scikit-learn bundles: official if they are those that are known, and read without importing it."""

from __future__ import annotations

import gzip
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from harness.batched.keyed import permutation
from harness.datasets.digits import Digits
from harness.errors import HarnessError

KNOWN = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another scikit-learn, found before the installed one; its data folder, empty."""
    data = tmp_path / "sklearn/datasets/data"
    data.mkdir(parents=True)
    (tmp_path / "sklearn/__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return data


def test_they_are_what_scikit_learn_loads() -> None:
    from sklearn.datasets import load_digits  # takes seconds, of whoever collects the tests too

    bunch = load_digits()
    images = Digits(name="digits").load(Path(), print)
    order = permutation(1797, 0, "digits/split")
    assert np.array_equal(np.concatenate([images.train_images, images.test_images])[:, 0], bunch.images[order])
    assert np.array_equal(np.concatenate([images.train_labels, images.test_labels]), bunch.target[order])
    assert Digits.train_class_counts == tuple(np.bincount(images.train_labels))
    assert Digits.test_class_counts == tuple(np.bincount(images.test_labels))


def test_scikit_learn_is_not_imported_for_them() -> None:
    code = (
        "import sys; from pathlib import Path; from harness.datasets.digits import Digits;"
        "Digits(name='digits').load(Path(), print);"
        "print([m for m in ('sklearn', 'scipy', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_bundled_digits_are_known_by_their_content(elsewhere: Path) -> None:
    rows = gzip.decompress(KNOWN.read_bytes())
    (elsewhere / KNOWN.name).write_bytes(gzip.compress(rows, 1))
    images = Digits(name="digits").load(Path(), print)
    assert images.canonical and images.origin == "scikit-learn's bundled digits, split 1,437/360 by a fixed key"
    assert rows.startswith(b"0,")
    (elsewhere / KNOWN.name).write_bytes(gzip.compress(b"1" + rows[1:], 1))
    other = Digits(name="digits").load(Path(), print)
    assert other.fingerprint != images.fingerprint
    assert not other.canonical and "not the images that scikit-learn is known to bundle" in other.origin


def test_an_installation_without_its_data_is_named(elsewhere: Path) -> None:
    assert list(elsewhere.iterdir()) == []
    with pytest.raises(HarnessError, match="digits are not installed"):
        Digits(name="digits").load(Path(), print)


def alter(elsewhere: Path, row: int, column: int, text: str) -> Path:
    """Write scikit-learn's file of digits with one value replaced."""
    rows = [line.split(",") for line in gzip.decompress(KNOWN.read_bytes()).decode().splitlines()]
    assert len(text) == 0 or rows[row][column] != text
    rows[row][column] = text
    path = elsewhere / KNOWN.name
    path.write_bytes(gzip.compress("".join(",".join(line) + "\n" for line in rows).encode(), 1))
    return path


@pytest.mark.parametrize(
    ("column", "text", "shown"),
    [
        (0, "nan", "nan"),
        (0, "1e300", "1e+300"),
        (0, "256", "256.0"),
        (0, "17", "17.0"),
        (0, "-1", "-1.0"),
        (0, "0.5", "0.5"),
        (0, "inf", "inf"),
        (64, "10", "10.0"),
        (64, "-0.5", "-0.5"),
        (64, "265", "265.0"),
    ],
)
def test_values_that_are_none_are_refused_with_their_place(elsewhere: Path, column: int, text: str, shown: str) -> None:
    """A cast would make ordinary numbers of them, even those of the official file."""
    path = alter(elsewhere, 3, column, text)
    with pytest.raises(HarnessError) as caught:
        Digits(name="digits").load(Path(), print)
    most = 9 if column == 64 else 16
    expected = f"row 4, value {column + 1} is {shown}, expected a whole number from 0 to {most}"
    assert (caught.value.message, caught.value.where) == (expected, str(path))
    assert caught.value.remedy and "scikit-learn" in caught.value.remedy


@pytest.mark.parametrize("damage", ["not packed", "cut", "text", "rows", "columns"])
def test_a_damaged_file_is_named(elsewhere: Path, damage: str) -> None:
    path = alter(elsewhere, 5, 5, "a word" if damage == "text" else "9")
    data = path.read_bytes()
    lines = gzip.decompress(data).splitlines(keepends=True)
    path.write_bytes(
        {
            "not packed": b"".join(lines),
            "cut": data[: len(data) // 2],
            "text": data,
            "rows": gzip.compress(b"".join(lines[:-1]), 1),
            "columns": gzip.compress(b"".join(line.replace(b"\n", b",0\n") for line in lines), 1),
        }[damage]
    )
    with pytest.raises(HarnessError, match=r"could not be read|holds 1,79[67] rows of 6[56] values") as caught:
        Digits(name="digits").load(Path(), print)
    assert caught.value.where == str(path) and caught.value.remedy
