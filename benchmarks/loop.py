"""The usual training loop: one process per seed, one model, eager PyTorch, a DataLoader.

Written from the protocols' text, without anything from harness, as scripts do it: an ``nn.Module``, PIL transforms in
two workers, one ``torch.optim.AdamW`` per part under DFA and one for all under BP. Images are decoded once and kept in
memory. Where scripts differ the faster way is taken: DFA makes one forward pass, and no step waits for the device.

    python benchmarks/loop.py cifar10 --data data --arm dfa:0.01 --arm bp:0.01 --device cuda
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset, TensorDataset

WARM_UP = 20  # batches before timing starts, in which libraries load and memory is allocated
CLASSES = 10
JOB = ("device", "epochs", "batches")  # command options that are passed to ``epoch_times``


class Block(nn.Module):
    """A residual branch f(h) = W2 · gelu(W1 · LN(h))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.w1, self.w2 = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)
        nn.init.normal_(self.w2.weight, std=0.01)
        nn.init.zeros_(self.w2.bias)

    def forward(self, h: Tensor) -> Tensor:
        return self.w2(functional.gelu(self.w1(self.norm(h))))


class Network(nn.Module):
    """A residual MLP: h_{l+1} = h_l + f_l(h_l); logits = head(LN_out(h_L))."""

    def __init__(self, features: int, width: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES))


class Dfa:
    """Direct feedback: each part minimises its objective on detached input by its own optimizer; blocks clip at 1."""

    def __init__(self, net: Network, strength: float) -> None:
        self.net, self.strength = net, strength
        like = net.embedding.weight.new_empty(net.embedding.out_features, CLASSES)
        self.feedback = [torch.randn_like(like) / math.sqrt(CLASSES) for _ in net.blocks]
        self.optimizers = {
            part: AdamW(part.parameters(), lr=1e-3, weight_decay=0.01)
            for part in (net.embedding, *net.blocks, net.head)
            if next(part.parameters()).requires_grad
        }

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        net = self.net
        embedded = net.embedding(x)
        h, branches = embedded.detach(), []
        for block in net.blocks:
            branches.append(block(h))
            h = (h + branches[-1]).detach()
        logits = net.head(h)
        loss = functional.cross_entropy(logits, y)
        error = logits.detach().softmax(1) - functional.one_hot(y, CLASSES)
        credit = [error @ B.T for B in self.feedback]
        credit = [a / (a.square().mean(1, keepdim=True).sqrt() + 1e-6) for a in credit]
        objectives = {net.embedding: (embedded * credit[0]).sum(1).mean(), net.head: loss}
        for block, f, a in zip(net.blocks, branches, credit, strict=True):
            penalty = self.strength * f.square().sum(1).mean() if self.strength else 0.0
            objectives[block] = (f * a).sum(1).mean() + penalty
        for part, optimizer in self.optimizers.items():
            optimizer.zero_grad()
            objectives[part].backward()
            if isinstance(part, Block):
                nn.utils.clip_grad_norm_(part.parameters(), 1.0)
            optimizer.step()
        return loss.detach()


class Bp:
    """Backpropagation of cross entropy + λ · Σ_l mean_n ‖f_l‖² through the whole network, with one optimizer."""

    def __init__(self, net: Network, strength: float) -> None:
        self.net, self.strength = net, strength
        self.optimizers = {net: AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)}

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        h, penalty = self.net.embedding(x), 0.0
        for block in self.net.blocks:
            f = block(h)
            h = h + f
            penalty += self.strength * f.square().sum(1).mean() if self.strength else 0.0
        loss = functional.cross_entropy(self.net.head(h), y)
        self.optimizers[self.net].zero_grad()
        (loss + penalty).backward()
        self.optimizers[self.net].step()
        return loss.detach()


RULES = {"dfa": Dfa, "bp": Bp}


@dataclass(frozen=True)
class Data:
    """A training split and the settings with which the protocols train on it."""

    dataset: Dataset
    shape: tuple[int, int, int]  # features, width, blocks
    batch: int
    workers: int
    epochs: int  # of the whole run, for the cosine schedule


@dataclass(frozen=True)
class InMemory(Dataset):
    """A dataset of PIL images and their labels, transformed when they are fetched."""

    pairs: list[tuple[Any, int]]
    transform: Any

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pairs[index][0]), self.pairs[index][1]


def import_torchvision() -> Any:
    """Import torchvision; with a CPU build of torch, its import misses two operators, which nothing here calls."""
    try:
        import torchvision
    except RuntimeError:
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float t) -> Tensor")
        import torchvision
    return torchvision


def make_transform() -> Any:
    """Return what is done to a training image of CIFAR-10: crop, flip, scale, flatten."""
    import_torchvision()
    from torchvision import transforms

    normalise = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    crop, flip = transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()
    return transforms.Compose([crop, flip, transforms.ToTensor(), normalise, torch.flatten])


def load(name: str, folder: Path) -> Data:
    """Load ``digits`` from scikit-learn, or ``cifar10`` from <folder>/cifar10/train/<class>/ or torchvision's files."""
    if name == "digits":
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = torch.tensor(bunch.data[:1437] / 16.0, dtype=torch.float32)
        dataset = TensorDataset((x - 0.3053) / 0.3760, torch.tensor(bunch.target[:1437]))
        return Data(dataset, shape=(64, 64, 3), batch=64, workers=0, epochs=20)
    torchvision = import_torchvision()
    if (folder / "cifar10" / "train").is_dir():
        source = torchvision.datasets.ImageFolder(str(folder / "cifar10" / "train"))
    else:
        source = torchvision.datasets.CIFAR10(str(folder), train=True)
    dataset = InMemory([source[index] for index in range(len(source))], make_transform())
    return Data(dataset, shape=(3072, 256, 4), batch=128, workers=2, epochs=100)


def epoch_times(
    rule: str, strength: float, data: Data, device: str, epochs: int, *,
    freeze_blocks: bool = False, batches: int | None = None,
) -> list[float]:  # fmt: skip
    """Return the seconds of each of ``epochs`` epochs of one model, from starting the workers to the last update.

    With ``batches``, that many batches of an epoch are timed once it is under way, and scaled to the whole epoch.
    """
    torch.manual_seed(0)
    net = Network(*data.shape).to(device)
    net.blocks.requires_grad_(not freeze_blocks)
    trainer = RULES[rule](net, strength)
    schedules = [CosineAnnealingLR(optimizer, data.epochs) for optimizer in trainer.optimizers.values()]
    # Python 3.14 does not fork by default, so that every epoch would begin by sending all images to the workers.
    how = {"num_workers": data.workers, "multiprocessing_context": "fork" if data.workers else None}
    loader = DataLoader(data.dataset, data.batch, shuffle=True, **how)
    if batches is not None and not 0 < batches <= len(loader) - WARM_UP:
        raise ValueError(f"batches: give 1 to {len(loader) - WARM_UP}, got {batches}")

    def train(pairs: Any) -> Tensor:
        loss = torch.zeros(())
        for x, y in pairs:
            loss = trainer.step(x.to(device), y.to(device))
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return loss

    train(islice(loader, WARM_UP))
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        pairs = iter(loader)
        if batches is not None:
            train(islice(pairs, WARM_UP))
            start = time.perf_counter()
        loss = train(islice(pairs, batches))
        for schedule in schedules:
            schedule.step()
        seconds.append((time.perf_counter() - start) * (len(loader) / batches if batches else 1.0))
        if not loss.isfinite():
            raise ArithmeticError("the loss is not finite: this epoch's time means nothing")
    return seconds


def epoch_seconds(rule: str, strength: float, data: Data, device: str, epochs: int, **options: Any) -> float:
    """Return the median seconds of an epoch of one model; see ``epoch_times``."""
    return statistics.median(epoch_times(rule, strength, data, device, epochs, **options))


def parse_arm(text: str) -> dict[str, Any]:
    """Parse ``dfa``, ``bp:0.01``, ``dfa:0:frozen``: rule, penalty strength, whether blocks stay as they are."""
    rule, strength, frozen = (*text.split(":"), "", "")[:3]
    return {"rule": rule, "strength": float(strength or 0), "freeze_blocks": frozen == "frozen"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the per-seed loop: one line of JSON per arm.")
    parser.add_argument("name", choices=["cifar10", "digits"])
    parser.add_argument("--arm", action="append", required=True, help="RULE[:STRENGTH[:frozen]], such as dfa:0.01")
    parser.add_argument("--data", type=Path, default=Path("data"), help="holds cifar10/train/<class>/ or torchvision's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batches", type=int, help="time so many batches of each epoch and scale")
    parser.add_argument("--threads", type=int, help="of this process; PyTorch's default if not given")
    parser.add_argument("--precision", choices=["float32", "tf32"], default="float32")
    parser.add_argument("--wait", action="store_true", help="before each arm print 'ready' and wait for a line")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    torch.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    data = load(options.name, options.data)
    for text in options.arm:
        if options.wait:
            print("ready", flush=True)
            input()
        seconds = epoch_times(data=data, **parse_arm(text), **{key: vars(options)[key] for key in JOB})
        print(json.dumps({"arm": text, "seconds": seconds, "median": statistics.median(seconds)}), flush=True)


if __name__ == "__main__":
    main()
