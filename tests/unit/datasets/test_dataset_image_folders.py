"""Image folders: real JPEG and PNG files, written by the tests, through the plug-ins' ``load``."""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from harness.datasets.cifar10 import Cifar10
from harness.datasets.fashion_mnist import FashionMnist
from harness.datasets.mnist import Mnist
from harness.errors import UsageError


class SmallCifar10(Cifar10):
    train_count: ClassVar[int] = 20
    test_count: ClassVar[int] = 10


class SmallMnist(Mnist):
    train_count: ClassVar[int] = 20
    test_count: ClassVar[int] = 10


class SmallFashion(FashionMnist):
    train_count: ClassVar[int] = 20
    test_count: ClassVar[int] = 10


def write_tree(folder: Path, classes, *, channels: int, size: int, suffix: str = "png") -> None:
    """Two training images and one test image per class, different everywhere."""
    rng = np.random.default_rng(1)
    for split, count in (("train", 2), ("test", 1)):
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (size, size, channels), dtype=np.uint8)
                image = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)
                image.save(folder / split / name / f"{index}.{suffix}")


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A data folder with a small PNG tree of CIFAR-10's form."""
    write_tree(tmp_path / "data" / "cifar10", Cifar10.labels, channels=3, size=32)
    return tmp_path / "data"


def load(root: Path, dataset=SmallCifar10):
    told: list[str] = []
    images = dataset(name=dataset.model_fields["name"].annotation.__args__[0]).load(root, told.append)
    return images, told


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_pixels_labels_and_origin(cifar):
    images, _ = load(cifar)
    assert images.train_images.shape == (20, 3, 32, 32) and images.train_images.dtype == np.uint8
    assert images.train_labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert images.test_labels.tolist() == list(range(10)) and images.test_labels.dtype == np.int64
    truck = pixels(cifar / "cifar10/train/truck/1.png")
    assert (images.train_images[-1].transpose(1, 2, 0) == truck).all()
    assert images.origin == "image files (train 20, test 10 PNG), decoded; not the canonical CIFAR-10 files"
    assert not images.canonical
    assert images.classes == Cifar10.labels


def test_locate_names_the_folder(cifar):
    assert SmallCifar10(name="cifar10").locate(cifar) == f"image files under {cifar / 'cifar10'}"


def test_jpeg_is_decoded_by_pillow(tmp_path):
    write_tree(tmp_path / "cifar10", Cifar10.labels, channels=3, size=32, suffix="jpeg")
    images, _ = load(tmp_path)
    assert (images.test_images[3].transpose(1, 2, 0) == pixels(tmp_path / "cifar10/test/cat/0.jpeg")).all()
    assert "JPEG" in images.origin


def test_files_are_in_numerical_order(cifar):
    folder = cifar / "cifar10/train/airplane"
    (folder / "1.png").rename(folder / "10.png")
    (folder / "0.png").rename(folder / "9.png")
    images, _ = load(cifar)
    assert (images.train_images[0].transpose(1, 2, 0) == pixels(folder / "9.png")).all()


def test_files_with_other_names_are_in_name_order(cifar):
    folder = cifar / "cifar10/train/airplane"
    (folder / "1.png").rename(folder / "b10.png")
    (folder / "0.png").rename(folder / "b9.png")
    images, _ = load(cifar)
    assert (images.train_images[0].transpose(1, 2, 0) == pixels(folder / "b10.png")).all()


def test_grey_digits_from_numbered_folders(tmp_path):
    write_tree(tmp_path / "mnist", Mnist.labels, channels=1, size=28)
    images, _ = load(tmp_path, SmallMnist)
    assert images.train_images.shape == (20, 1, 28, 28)
    assert (images.test_images[7, 0] == pixels(tmp_path / "mnist/test/7/0.png")).all()


@pytest.mark.parametrize(
    "folders",
    [
        ("T-shirt_top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ("t_shirt_top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot"),
        tuple(str(label) for label in range(10)),
    ],
)
def test_labels_follow_the_official_order_not_the_alphabet(tmp_path, folders):
    write_tree(tmp_path / "fashion_mnist", folders, channels=1, size=28)
    images, _ = load(tmp_path, SmallFashion)
    assert images.test_labels.tolist() == list(range(10))
    for label in (0, 8, 9):
        assert (images.test_images[label, 0] == pixels(tmp_path / f"fashion_mnist/test/{folders[label]}/0.png")).all()


def test_hidden_and_foreign_files_are_no_images(cifar):
    before, _ = load(cifar)
    (cifar / "cifar10/train/.DS_Store").write_bytes(b"x")
    (cifar / "cifar10/train/cat/._0.png").write_bytes(b"x")
    (cifar / "cifar10/train/cat/notes.txt").write_bytes(b"x")
    assert load(cifar)[0].fingerprint == before.fingerprint


def test_cache_is_used(cifar, cache):
    first, told = load(cifar)
    assert len(told) == 2 and "decoding 20 images of cifar10-train" in told[0]
    kept = sorted((cache / "datasets").iterdir())
    assert [path.name.rsplit("-", 1)[0] for path in kept] == ["cifar10-test", "cifar10-train"]
    second, told = load(cifar)
    assert told == [] and second.fingerprint == first.fingerprint and second.origin == first.origin


def test_exchanged_files_are_noticed_whatever_their_names_sizes_and_times(cifar):
    """Two images change places: the folder's listing is the same to the last digit, the data are not."""
    one, other = (cifar / f"cifar10/train/{name}/0.png" for name in ("cat", "dog"))
    first, second = one.read_bytes(), other.read_bytes()
    longest = max(len(first), len(second))  # what follows a PNG's end is no part of it

    def write(*pairs):
        for path, data in pairs:
            path.write_bytes(data.ljust(longest, b"\0"))
            os.utime(path, ns=(10**18, 10**18))
        return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path, _ in pairs]

    listed = write((one, first), (other, second))
    before, _ = load(cifar)
    assert write((one, second), (other, first)) == listed
    after, told = load(cifar)
    assert after.fingerprint != before.fingerprint
    assert len(told) == 1 and "cifar10-train" in told[0]
    assert (after.train_images[6] == before.train_images[10]).all()


def test_a_changed_file_is_decoded_anew(cifar):
    first, _ = load(cifar)
    folder = cifar / "cifar10/train/cat"
    shutil.copy(folder / "0.png", folder / "1.png")
    second, told = load(cifar)
    assert len(told) == 1 and "cifar10-train" in told[0]
    assert second.fingerprint != first.fingerprint
    assert (second.train_images[7] == second.train_images[6]).all()


def test_a_moved_folder_keeps_its_cache(cifar, tmp_path):
    load(cifar)
    cifar.rename(tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere")[1] == []


@pytest.mark.parametrize("damage", ["truncated", "flipped bit", "empty", "too long", "no lines"])
def test_a_damaged_cache_is_decoded_anew(cifar, cache, damage):
    first, _ = load(cifar)
    (path,) = (cache / "datasets").glob("cifar10-train-*.raw")
    whole = bytearray(path.read_bytes())
    if damage == "flipped bit":
        whole[len(whole) // 2] ^= 1
    elif damage == "too long":
        whole += b"\0"
    elif damage == "no lines":
        whole = bytearray(2**17)
    path.write_bytes(whole[: {"truncated": len(whole) // 2, "empty": 0}.get(damage, len(whole))])
    second, told = load(cifar)
    assert len(told) == 1 and second.fingerprint == first.fingerprint
    assert load(cifar)[1] == []


@pytest.mark.parametrize("altered", ["pixels", "what is told", "another split's"])
def test_an_altered_cache_is_not_believed(cifar, cache, altered):
    """Whole files of the right length."""
    first, _ = load(cifar)
    (path,) = (cache / "datasets").glob("cifar10-train-*.raw")
    held = path.read_bytes()
    if altered == "pixels":
        held = held[:-1] + bytes([held[-1] ^ 1])
    elif altered == "what is told":
        held = held.replace(b"PNG", b"BMP")
    else:
        write_tree(cifar / "other" / "cifar10", Cifar10.labels, channels=3, size=32, suffix="jpeg")
        load(cifar / "other")
        (other,) = set((cache / "datasets").glob("cifar10-train-*.raw")) - {path}
        held = other.read_bytes()
    assert held != path.read_bytes()
    path.write_bytes(held)
    second, told = load(cifar)
    assert len(told) == 1 and second.fingerprint == first.fingerprint and second.origin == first.origin


def test_the_format_is_what_was_decoded_not_the_suffix(cifar):
    victim = cifar / "cifar10/train/cat/0.png"
    buffer = io.BytesIO()
    Image.fromarray(pixels(victim)).save(buffer, "JPEG")
    victim.write_bytes(buffer.getvalue())
    origin = "image files (train 20, test 10 JPEG and PNG), decoded; not the canonical CIFAR-10 files"
    assert load(cifar)[0].origin == origin
    assert load(cifar)[0].origin == origin  # from the cache


def test_several_frames_are_refused(cifar):
    victim = cifar / "cifar10/test/frog/0.png"
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(victim, save_all=True, append_images=frames[1:])
    with pytest.raises(UsageError, match="2 frames, expected one") as caught:
        load(cifar)
    assert caught.value.where == str(victim)


def test_what_was_done_to_pixels_is_told(cifar):
    folder = cifar / "cifar10/train"
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 256, (32, 32, 4), dtype=np.uint8)).save(folder / "cat/0.png")
    Image.fromarray(rng.integers(0, 256, (32, 32, 4), dtype=np.uint8)).save(folder / "cat/1.png")
    Image.fromarray(pixels(folder / "dog/0.png")).quantize(16).save(folder / "dog/0.png")
    Image.fromarray(pixels(folder / "dog/1.png")).convert("L").save(folder / "dog/1.png")
    Image.fromarray(pixels(folder / "frog/1.png")).convert("CMYK").save(folder / "frog/1.png", "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(folder / "ship/1.png")).save(folder / "ship/1.png", exif=exif)
    images, _ = load(cifar)
    assert images.origin == (
        "image files (train 20, test 10 JPEG and PNG), decoded; 1 converted from CMYK; 1 converted from a palette; "
        "1 in grey, repeated for three channels; 1 with an orientation in Exif that was not applied; "
        "2 with transparency that was dropped; not the canonical CIFAR-10 files"
    )
    assert (images.train_images[6].transpose(1, 2, 0) == pixels(folder / "cat/0.png")[..., :3]).all()
    assert load(cifar)[0].origin == images.origin  # from the cache


def test_colours_turned_to_grey_are_told(tmp_path):
    write_tree(tmp_path / "mnist", Mnist.labels, channels=1, size=28)
    Image.new("RGB", (28, 28), "red").save(tmp_path / "mnist/test/4/0.png")
    assert "; 1 in colour, turned to grey; " in load(tmp_path, SmallMnist)[0].origin


def test_a_file_that_changes_while_it_is_read_is_refused(cifar):
    from harness.datasets._images import decode, list_split, read_digests

    split = list_split(cifar / "cifar10/train", Cifar10.labels, 20)
    contents = read_digests(split)
    shutil.copy(cifar / "cifar10/train/cat/0.png", cifar / "cifar10/train/cat/1.png")
    with pytest.raises(UsageError, match="changed while it was being read") as caught:
        decode(split, contents, 3, 32)
    assert caught.value.where == str(cifar / "cifar10/train/cat/1.png")


@pytest.mark.parametrize("begin", [-math.inf, 0, math.inf], ids=["slow", "slow later", "fast"])
def test_files_are_read_alike_however_slow_they_are(cifar, monkeypatch, begin):
    from harness.datasets import _images

    monkeypatch.setattr(_images, "CHUNK", 3)
    monkeypatch.setattr(_images, "SLOW_START", begin)
    monkeypatch.setattr(_images, "SLOW_FILE", 0)
    split = _images.list_split(cifar / "cifar10/train", Cifar10.labels, 20)
    expected = [hashlib.sha256((split.folder / name).read_bytes()).digest() for name in split.files]
    assert _images.read_digests(split) == expected
    for name in ("airplane/0.png", "truck/1.png"):
        (split.folder / name).unlink()
        (split.folder / name).mkdir()
    with pytest.raises(UsageError, match=r"nor are 1 other files of this split: truck/1\.png") as caught:
        _images.read_digests(split)
    assert caught.value.where == str(split.folder / "airplane/0.png")


def test_test_images_that_are_training_images_are_counted(cifar):
    assert load(cifar)[0].notes == ()
    folder = cifar / "cifar10"
    shutil.copy(folder / "train/cat/0.png", folder / "test/cat/0.png")
    Image.fromarray(pixels(folder / "train/dog/1.png")).save(folder / "test/ship/0.png", compress_level=1)
    assert load(cifar)[0].notes == ("2 of 10 test images are copies of training images, pixel by pixel",)


def test_uneven_classes_are_told(cifar):
    (cifar / "cifar10/train/truck/1.png").rename(cifar / "cifar10/train/bird/7.png")
    assert load(cifar)[0].notes == ("training images per class: from 1 (truck) to 3 (bird)",)


def test_a_cache_that_cannot_be_written_is_only_told(cifar, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", "/proc/nothing-can-be-made-here")
    images, told = load(cifar)
    assert len(images.train_images) == 20
    assert sum("could not be kept" in line for line in told) == 2


def test_undecodable_images_are_named_and_counted(cifar):
    for name in ("bird", "dog"):
        path = cifar / f"cifar10/train/{name}/1.png"
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UsageError, match="not a usable image") as caught:
        load(cifar)
    assert caught.value.where == str(cifar / "cifar10/train/bird/1.png")
    assert "1 other files of this split: dog/1.png" in caught.value.message
    assert caught.value.remedy


def test_wrong_size(cifar):
    Image.new("RGB", (32, 31)).save(cifar / "cifar10/test/ship/0.png")
    with pytest.raises(UsageError, match="32 × 31 pixels, expected 32 × 32") as caught:
        load(cifar)
    assert caught.value.where == str(cifar / "cifar10/test/ship/0.png")


def test_wrong_count(cifar):
    (cifar / "cifar10/train/frog/1.png").unlink()
    with pytest.raises(UsageError, match="holds 19 images, expected 20") as caught:
        load(cifar)
    assert "frog 1" in caught.value.remedy and "horse 2" in caught.value.remedy


def test_missing_and_unknown_classes(cifar):
    (cifar / "cifar10/train/truck").rename(cifar / "cifar10/train/lorry")
    with pytest.raises(UsageError, match="missing truck; not expected lorry") as caught:
        load(cifar)
    assert caught.value.where == str(cifar / "cifar10/train")
    assert "airplane, automobile" in caught.value.remedy


def test_digit_folders_from_one_are_refused(tmp_path):
    write_tree(tmp_path / "mnist", [str(digit) for digit in range(1, 11)], channels=1, size=28)
    with pytest.raises(UsageError, match="missing 0; not expected 10"):
        load(tmp_path, SmallMnist)


def test_empty_class(cifar):
    for path in (cifar / "cifar10/test/deer").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="an empty class") as caught:
        load(cifar)
    assert caught.value.where == str(cifar / "cifar10/test/deer")


def test_missing_split(cifar):
    shutil.rmtree(cifar / "cifar10/test")
    with pytest.raises(UsageError, match="could not be read") as caught:
        load(cifar)
    assert caught.value.where == str(cifar / "cifar10/test")
