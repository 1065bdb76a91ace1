"""Base of the image data sets: image files in the data folder first, then torchvision's files, then a download."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from harness.datasets import Dataset, Images
from harness.datasets._images import has_tree, list_split, load_images
from harness.datasets._torchvision import download, find_unreachable_reason
from harness.errors import DataMissing, UsageError

if TYPE_CHECKING:
    import numpy as np

SplitName = Literal["train", "test"]
Arrays: TypeAlias = "tuple[np.ndarray, np.ndarray]"


class ImageDataset(Dataset):
    """A data set of ``size`` × ``size`` images. The data folder is searched in this order.

    1. ``<name>/{train,test}/<class>/*.{jpg,jpeg,png}``: decoded, never called canonical;
    2. torchvision's own files (``files``), whose checksums torchvision or ``official`` verifies at every load, and this
       class again;
    3. neither: torchvision downloads its files to there.
    """

    title: ClassVar[str]
    """Name of the data set for people."""
    labels: ClassVar[tuple[str, ...]]
    """Names of the classes in official order, label 0 first."""
    files: ClassVar[tuple[str, ...]]
    """Files or folders in the data folder that torchvision reads."""
    checksums: ClassVar[Mapping[str, str]]
    """File in the data folder → MD5 of the official one. torchvision has the same, and may be another one."""
    url: ClassVar[str]
    """Address from which torchvision downloads them."""
    to_put: ClassVar[str]
    """Instruction how to obtain ``files`` by hand."""

    @abstractmethod
    def official(self, root: Path, split: SplitName, fetch: bool) -> Arrays:
        """Return images [N, channel, height, width] and labels [N] from torchvision's files below ``root``.

        Raises:
            RuntimeError: Checksums differ, or files are missing and ``fetch`` is not set.
        """

    def locate(self, root: Path) -> str:
        """Say which of the three sources ``load`` would use."""
        if has_tree(root / self.name):
            return f"image files under {root / self.name}"
        if found := self._present(root):
            return f"torchvision files under {root} ({', '.join(found)})"
        return f"would be downloaded by torchvision to {root}"

    def present(self, root: Path) -> bool:
        """Tell whether one of the first two sources is there."""
        return has_tree(root / self.name) or bool(self._present(root))

    def load(self, root: Path, notify: Callable[[str], None]) -> Images:
        """Read the first source that is there.

        Raises:
            UsageError: The source is there but incomplete or damaged.
            DataMissing: No source is there and the download failed; the error says what to put where.
        """
        if has_tree(root / self.name):
            return self._from_tree(root / self.name, notify)
        train, test = self._from_files(root) if self._present(root) else self._from_network(root, notify)
        if self._find_strange(root) is None:
            return self._images(train, test, "torchvision, checksums verified", canonical=True)
        origin = f"torchvision, by checksums that are not those of the canonical {self.title} files"
        return self._images(train, test, origin, canonical=False)

    def doubt(self, root: Path) -> str | None:
        """Say that image files are none of the official files, or which of torchvision's files is another."""
        if has_tree(root / self.name):
            return f"not the canonical {self.title} files"
        strange = self._find_strange(root) if self._present(root) else None
        return None if strange is None else f"{strange} is missing or not that of the canonical {self.title} files"

    def _find_strange(self, root: Path) -> str | None:
        """Return the first of torchvision's files that is not the official one; None if all are."""
        for name, checksum in self.checksums.items():
            try:
                if not (root / name).is_file():  # a pipe would be waited for
                    return name
                with (root / name).open("rb") as file:
                    if hashlib.file_digest(file, "md5").hexdigest() != checksum:
                        return name
            except OSError:
                return name
        return None

    def _present(self, root: Path) -> list[str]:
        return [name for name in self.files if (root / name).exists()]

    def _from_tree(self, folder: Path, notify: Callable[[str], None]) -> Images:
        counts = {"train": self.train_count, "test": self.test_count}
        splits = [list_split(folder / name, self.labels, count) for name, count in counts.items()]
        read = [
            load_images(split, f"{self.name}-{name}", self.channels, self.size, notify)
            for name, split in zip(counts, splits, strict=True)
        ]
        kinds = " and ".join(sorted({kind for one in read for kind in one.formats}))
        changes = sum((Counter(one.changes) for one in read), Counter[str]())
        told = "".join(f"{count:,} {change}; " for change, count in sorted(changes.items()))
        origin = (
            f"image files (train {self.train_count:,}, test {self.test_count:,} {kinds}), decoded; {told}"
            f"not the canonical {self.title} files"
        )
        train, test = ((one.images, split.labels) for one, split in zip(read, splits, strict=True))
        return self._images(train, test, origin, canonical=False)

    def _from_files(self, root: Path) -> tuple[Arrays, Arrays]:
        for name in self.checksums:
            if (root / name).exists() and not (root / name).is_file():
                raise DataMissing("not a file", where=str(root / name), remedy=f"replace it by {self.to_put}")
        try:
            return self._official(root, fetch=False)
        except (RuntimeError, OSError) as error:
            raise DataMissing(
                f"torchvision's {self.title} files ({', '.join(self._present(root))}) are incomplete or altered: "
                f"{error}",
                where=str(root),
                remedy=f"replace them by {self.to_put}; or remove them to have them downloaded",
            ) from error

    def _from_network(self, root: Path, notify: Callable[[str], None]) -> tuple[Arrays, Arrays]:
        notify(f"{self.title} is not in {root}: asking {self.url}")
        reason = find_unreachable_reason(self.url)
        if reason is None:
            notify(f"downloading {self.title} to {root}")
            try:
                return download(root, self.files, self._official)
            except DataMissing as error:
                reason = error.message
        raise DataMissing(
            f"{self.title} is not in the data folder and could not be downloaded ({reason})",
            where=str(root),
            remedy=f"put there {self.to_put}; or {self.name}/{{train,test}}/<class>/*.jpg or *.png "
            f"({self.train_count:,} and {self.test_count:,} images of {self.size} × {self.size} pixels)",
        )

    def _official(self, root: Path, fetch: bool) -> tuple[Arrays, Arrays]:
        return self.official(root, "train", fetch), self.official(root, "test", fetch)

    def _images(self, train: Arrays, test: Arrays, origin: str, *, canonical: bool) -> Images:
        import numpy as np

        for name, (images, labels), count in (("train", train, self.train_count), ("test", test, self.test_count)):
            expected = (count, self.channels, self.size, self.size)
            whole = np.issubdtype(labels.dtype, np.integer)  # int64 would round others in silence
            if images.shape != expected or images.dtype != np.uint8 or labels.shape != (count,) or not whole:
                raise UsageError(
                    f"{self.title} {name}: got images {images.dtype}{images.shape} and labels "
                    f"{labels.dtype}{labels.shape}, expected uint8{expected} and integers{(count,)}",
                    remedy=f"replace the files by {self.to_put}",
                )
        return Images(
            train_images=np.ascontiguousarray(train[0]),
            train_labels=train[1].astype(np.int64),
            test_images=np.ascontiguousarray(test[0]),
            test_labels=test[1].astype(np.int64),
            classes=self.labels,
            origin=origin,
            canonical=canonical,
        )
