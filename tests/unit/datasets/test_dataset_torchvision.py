"""torchvision's own classes over real files and a real HTTP server; only the checksums are those of small files."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import shutil
import subprocess
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness.datasets import _torchvision
from harness.datasets._torchvision import find_unreachable_reason, import_torchvision
from harness.datasets.cifar10 import Cifar10
from harness.datasets.cifar100 import Cifar100
from harness.datasets.fashion_mnist import FashionMnist
from harness.datasets.mnist import Mnist
from harness.datasets.svhn import Svhn
from harness.errors import DataMissing, StorageFailed, UsageError

RNG = np.random.default_rng(2)
NOWHERE = "http://nothing.invalid/data"  # .invalid has no addresses, RFC 2606


def small(plugin, url=NOWHERE, files: Path | None = None):
    """A smaller data set; ``files``: the folder of those that harness is to take for the official ones."""
    known = plugin.checksums if files is None else {name: md5((files / name).read_bytes()) for name in plugin.checksums}
    fields = {"train_count": 20, "test_count": 10, "url": url, "checksums": known}
    annotations = dict.fromkeys(fields, ClassVar[Any])
    kind = type(
        f"Small{plugin.__name__}", (plugin,), {**fields, "__annotations__": annotations, "__module__": __name__}
    )
    return kind(name=plugin.model_fields["name"].annotation.__args__[0])


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def colours(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def make_cifar(folder: Path, plugin, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    """Write the files of CIFAR-10 or CIFAR-100 and make torchvision expect their checksums: training images, labels."""
    kind = getattr(import_torchvision().datasets, plugin.__name__.upper())
    images, labels = colours(20), RNG.integers(0, 10, 20)
    base = folder / kind.base_folder
    base.mkdir(parents=True)
    key = "labels" if plugin is Cifar10 else "fine_labels"
    lists = {}
    for attribute, source, count in (("train_list", images, 20), ("test_list", colours(10), 10)):
        names = [name for name, _ in getattr(kind, attribute)]
        parts = zip(np.split(source, len(names)), np.split(labels[:count], len(names)), strict=True)
        entries = []
        for name, (part, part_labels) in zip(names, parts, strict=True):
            data = pickle.dumps({"data": part.reshape(len(part), -1), key: part_labels.tolist()})
            (base / name).write_bytes(data)
            entries.append([name, md5(data)])
        lists[attribute] = entries
    data = pickle.dumps({kind.meta["key"]: list(plugin.labels)})
    (base / kind.meta["filename"]).write_bytes(data)
    for attribute, entries in lists.items():
        monkeypatch.setattr(kind, attribute, entries)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(data)})
    return images, labels


def make_idx(folder: Path, plugin, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    """Likewise for MNIST and Fashion-MNIST, packed only."""
    kind = getattr(
        import_torchvision().datasets, {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[plugin_name(plugin)]
    )
    raw = folder / kind.__name__ / "raw"
    raw.mkdir(parents=True)
    images, labels = RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8), RNG.integers(0, 10, 20, dtype=np.uint8)
    resources = []
    for (name, _), array in zip(kind.resources, (images, labels, images[:10], labels[:10]), strict=True):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        data = gzip.compress(head + array.tobytes())
        (raw / name).write_bytes(data)
        resources.append((name, md5(data)))
    monkeypatch.setattr(kind, "resources", resources)
    return images[:, None], labels


def plugin_name(plugin) -> str:
    return plugin.model_fields["name"].annotation.__args__[0]


def make_svhn(folder: Path, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    """Likewise for SVHN, whose files call the digit 0 "10"."""
    from scipy.io import savemat

    kind = import_torchvision().datasets.SVHN
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = colours(20), np.arange(20) % 10
    entries = {}
    for split, count in (("train", 20), ("test", 10)):
        path = folder / f"{split}_32x32.mat"
        savemat(path, {"X": images[:count].transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:count, None]})
        entries[split] = [NOWHERE, path.name, md5(path.read_bytes())]
    monkeypatch.setattr(kind, "split_list", entries)
    return images, labels


def make(folder: Path, plugin, monkeypatch):
    if plugin is Svhn:
        return make_svhn(folder, monkeypatch)
    return (make_cifar if plugin in (Cifar10, Cifar100) else make_idx)(folder, plugin, monkeypatch)


@pytest.mark.parametrize("plugin", [Cifar10, Cifar100, Mnist, FashionMnist, Svhn])
def test_files_are_read(plugin, tmp_path, monkeypatch):
    images, labels = make(tmp_path, plugin, monkeypatch)
    dataset = small(plugin, files=tmp_path)
    assert dataset.locate(tmp_path).startswith(f"torchvision files under {tmp_path} (") and not dataset.doubt(tmp_path)
    loaded = dataset.load(tmp_path, lambda text: pytest.fail(text))
    assert (loaded.train_images == images).all() and loaded.train_images.dtype == np.uint8
    assert (loaded.train_labels == labels).all() and loaded.train_labels.dtype == np.int64
    assert len(loaded.test_images) == 10
    assert loaded.canonical and loaded.origin == "torchvision, checksums verified"
    assert loaded.classes == plugin.labels


@pytest.mark.parametrize("plugin", [Cifar10, Cifar100, Mnist, FashionMnist, Svhn])
def test_a_torchvision_that_takes_other_files_makes_them_no_official_ones(plugin, tmp_path, monkeypatch):
    """Its table of checksums was altered with the files."""
    make(tmp_path, plugin, monkeypatch)
    loaded = small(plugin).load(tmp_path, print)
    assert not loaded.canonical and "checksums that are not those of the canonical" in loaded.origin
    assert f"not that of the canonical {plugin.title} files" in small(plugin).doubt(tmp_path)


@pytest.mark.parametrize("plugin", [Cifar10, Cifar100, Mnist, FashionMnist, Svhn])
def test_a_wrong_checksum_is_said(plugin, tmp_path, monkeypatch):
    make(tmp_path, plugin, monkeypatch)
    victim = (
        min(path for path in tmp_path.rglob("*train*") if path.is_file())
        if plugin is not Cifar10
        else (tmp_path / "cifar-10-batches-py/data_batch_3")
    )
    data = bytearray(victim.read_bytes())
    data[-20] ^= 1
    victim.write_bytes(data)
    with pytest.raises(DataMissing, match="incomplete or altered") as caught:
        small(plugin).load(tmp_path, print)
    assert caught.value.where == str(tmp_path)
    assert plugin.to_put in caught.value.remedy
    assert victim.read_bytes() == bytes(data)


def test_the_official_checksums_refuse_other_files(tmp_path):
    """Nothing is patched here: files that only have MNIST's names are not MNIST."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"\0" * 16)
        (raw / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"\0" * 16))
    with pytest.raises(DataMissing, match=r"train-images-idx3-ubyte\.gz is missing or its checksum differs"):
        Mnist(name="mnist").load(tmp_path, print)


def test_unpacked_files_are_not_trusted(tmp_path, monkeypatch):
    """torchvision reads unpacked MNIST files unchecked; here they come from the verified packed ones each time."""
    images, _ = make(tmp_path, Mnist, monkeypatch)
    altered = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in (20, 28, 28)) + bytes(20 * 28 * 28)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(altered)
    assert (small(Mnist).load(tmp_path, print).train_images == images).all()


def test_half_of_the_files_is_incomplete(tmp_path, monkeypatch):
    make(tmp_path, Svhn, monkeypatch)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(DataMissing, match=r"\(train_32x32\.mat\) are incomplete"):
        small(Svhn).load(tmp_path, print)


def test_arrays_of_another_count_are_refused(tmp_path, monkeypatch):
    make(tmp_path, Cifar10, monkeypatch)
    with pytest.raises(UsageError, match=r"expected uint8\(50000, 3, 32, 32\)"):
        Cifar10(name="cifar10").load(tmp_path, print)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (10, r"has the label 10, expected 0 to 9"),
        (-1, r"has the label -1, "),
        (1.5, r"labels float64\(20,\), expected"),
    ],
)
def test_labels_that_are_no_class_are_refused(label, told, tmp_path, monkeypatch):
    make(tmp_path, Cifar10, monkeypatch)
    kind = import_torchvision().datasets.CIFAR10
    entries = [list(entry) for entry in kind.train_list]
    path = tmp_path / kind.base_folder / entries[1][0]
    batch = pickle.loads(path.read_bytes())
    batch["labels"][2] = label
    path.write_bytes(pickle.dumps(batch))
    entries[1][1] = md5(path.read_bytes())
    monkeypatch.setattr(kind, "train_list", entries)
    with pytest.raises(UsageError, match=told):
        small(Cifar10).load(tmp_path, print)


@pytest.mark.parametrize("plugin", [Cifar10, Cifar100, Mnist, FashionMnist, Svhn])
def test_without_a_network_one_message_says_what_to_put_where(plugin, tmp_path):
    root = tmp_path / "data"
    dataset = small(plugin)
    assert dataset.locate(root) == f"would be downloaded by torchvision to {root}"
    with pytest.raises(DataMissing, match=r"could not be downloaded \(nothing\.invalid: ") as caught:
        dataset.load(root, print)
    assert caught.value.where == str(root)
    assert plugin.to_put in caught.value.remedy
    assert f"{dataset.name}/{{train,test}}/<class>/*.jpg" in caught.value.remedy
    assert not root.exists()


class Server(ThreadingHTTPServer):
    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that hangs up early, as the look whether the server is there does, is no news."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """CIFAR-10's archive, made here and expected by torchvision: (folder on the server, archive, training images)."""
    images, _ = make_cifar(tmp_path / "made", Cifar10, monkeypatch)
    served = tmp_path / "served"
    served.mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    (served / "cifar-10-python.tar.gz").write_bytes(buffer.getvalue())
    monkeypatch.setattr(import_torchvision().datasets.CIFAR10, "tgz_md5", md5(buffer.getvalue()))
    return served, served / "cifar-10-python.tar.gz", images


def from_server(handler, monkeypatch, files: Path | None = None):
    server = Server(handler)
    url = f"{server.url}/cifar-10-python.tar.gz"
    monkeypatch.setattr(import_torchvision().datasets.CIFAR10, "url", url)
    return server, small(Cifar10, url, files)


def test_download(archive, tmp_path, monkeypatch, capfd):
    served, _, images = archive
    server, dataset = from_server(partial(Quiet, directory=served), monkeypatch, tmp_path / "made")
    root, told = tmp_path / "data", []
    loaded = dataset.load(root, told.append)
    server.shutdown()
    assert (loaded.train_images == images).all() and loaded.canonical
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    assert "downloading CIFAR-10" in told[-1]
    assert capfd.readouterr() == ("", "")
    assert dataset.load(root, pytest.fail).fingerprint == loaded.fingerprint  # the server is gone


@pytest.mark.parametrize("complete", [True, False])
def test_two_downloads_that_end_together(complete, archive, tmp_path, monkeypatch):
    """Another process's files arrive between the look whether they are there and the move: they are verified and read.

    Were they not whole, that would be said, and not the other download's arrays used under their name.
    """
    served, _, images = archive
    _, dataset = from_server(partial(Quiet, directory=served), monkeypatch, tmp_path / "made")
    root = tmp_path / "data"
    rename = Path.rename

    def late(source, target):
        monkeypatch.setattr(Path, "rename", rename)
        shutil.copytree(source, target)
        if not complete:
            (target / "data_batch_2").unlink()
        return source.rename(target)

    monkeypatch.setattr(Path, "rename", late)
    if complete:
        loaded = dataset.load(root, print)
        assert (loaded.train_images == images).all() and loaded.canonical
    else:
        with pytest.raises(DataMissing, match="could not be downloaded"):
            dataset.load(root, print)
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.parametrize("fault", ["altered", "cut off", "not found"])
def test_a_failed_download_leaves_nothing_behind(fault, archive, tmp_path, monkeypatch):
    served, path, images = archive
    data = path.read_bytes()

    class CutOff(Quiet):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])

    if fault == "altered":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    if fault == "not found":
        path.unlink()
    server, dataset = from_server(CutOff if fault == "cut off" else partial(Quiet, directory=served), monkeypatch)
    root = tmp_path / "data"
    with pytest.raises(DataMissing, match="could not be downloaded"):
        dataset.load(root, print)
    server.shutdown()
    assert list(root.iterdir()) == []
    path.write_bytes(data)
    _, dataset = from_server(partial(Quiet, directory=served), monkeypatch)
    assert (dataset.load(root, print).train_images == images).all()


def test_a_data_folder_that_cannot_be_written(archive, tmp_path, monkeypatch):
    served, _, _ = archive
    _, dataset = from_server(partial(Quiet, directory=served), monkeypatch)
    with pytest.raises((StorageFailed, DataMissing)) as caught:
        dataset.load(Path("/proc/none"), print)
    assert caught.value.where == "/proc/none"


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr(_torchvision, "PATIENCE", 0.3)
    release = threading.Event()

    class Silent(Quiet):
        def do_GET(self):
            release.wait()

    server = Server(Silent)
    assert find_unreachable_reason(server.url)  # comes back, although nobody answers before this line is done
    release.set()
    server.shutdown()


def test_torchvision_imports_in_a_fresh_process_once_and_again():
    program = (
        "from harness.datasets._torchvision import import_torchvision\n"
        "for _ in range(2):\n"
        "    torchvision = import_torchvision()\n"
        "    import torch; torch.ops.torchvision.nms\n"  # beside a CPU build harness declares it
        "print(torchvision.datasets.CIFAR10.base_folder)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cifar-10-batches-py\n"
