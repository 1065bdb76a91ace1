"""One replica under any rule as a script would train it: plain eager PyTorch, one model, one process.

BP and DFA are ``loop.py``'s, written by hand from the protocols' text. For the other rules this loop calls the rule's
own definition (``Rule.objective``, ``Rule.evolve``) on tensors of one replica: what a script would write in the same
words, without stacked replicas, captured graphs or compiling. It draws by PyTorch's generators, as scripts do, and
updates by ``torch.optim.AdamW`` in its default form.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any, Protocol

import numpy as np
import torch
from loop import RULES, InMemory, Network, make_transform
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, RandomSampler

from harness.batched import keyed
from harness.batched.specs import DrawSpec, TensorSpec
from harness.records import Arm
from harness.rules import RuleTensors
from harness.training import Device
from harness.training.device import use_precision

WORKERS = 2  # as loop.py
WARM_UP = 6  # steps before timing, in which memory is allocated and a loader's store of batches is used up
Batch = tuple[Tensor, Tensor]


class Loop(Protocol):
    """Something that trains one replica, batch by batch."""

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Do one step on x [n, features] and labels y [n]."""


class DefinitionLoop:
    """A step as the rule defines it, on one replica."""

    def __init__(self, arm: Arm, device: torch.device) -> None:
        setup = arm.setup
        self.arm, self.model, self.device = arm, setup.model, device
        self.tensors = RuleTensors.of(arm.rule, setup.model, setup.dataset.features, setup.classes)
        self.specs = setup.model.parameters(setup.dataset.features, setup.classes)
        self.params = {spec.name: self._make(spec, "weights").requires_grad_() for spec in self.specs}
        self.own = {spec.name: self._make(spec, "feedback").requires_grad_() for spec in self.tensors.own}
        self.feedback = {spec.name: self._make(spec, "feedback") for spec in self.tensors.feedback}
        rates = {"lr": setup.optimizer.lr, "weight_decay": setup.optimizer.weight_decay}
        self.optimizer = AdamW([*self.params.values(), *self.own.values()], **rates)
        groups = arm.rule.clip_norms(setup.model)
        every = [*self.specs, *self.tensors.own]
        leaves = self.params | self.own
        self.clips = [([leaves[s.name] for s in every if s.group == group], top) for group, top in groups.items()]

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Do one step; return the batch's loss."""
        rule, drawn = self.arm.rule, {spec.name: self._draw(spec, len(x)) for spec in self.tensors.draws}
        strengths = {name: torch.tensor(value) for name, (value, _) in rule.strengths.items()}
        feedback = {**self.feedback, **strengths, **drawn}
        leaves = self.params | self.own
        found = rule.objective(self.model, leaves, feedback, x[None], y[None], None, self.arm.setup.loss)
        self.optimizer.zero_grad()
        found.descend.sum().backward()
        for tensors, largest in self.clips:
            nn.utils.clip_grad_norm_(tensors, largest)
        self.optimizer.step()
        if rule.evolves:
            with torch.no_grad():
                for name, value in rule.evolve(self.model, leaves, {**self.feedback, **drawn}).items():
                    self.feedback[name].copy_(value)
        return found.loss

    def _make(self, spec: TensorSpec, purpose: str) -> Tensor:
        drawn = keyed.tensor(spec, 0 if spec.seed is None else spec.seed, purpose).astype(np.float32)
        return torch.from_numpy(drawn[None]).to(self.device)

    def _draw(self, spec: DrawSpec, batch: int) -> Tensor:
        shape = (1, *(batch if size is None else size for size in spec.shape))
        kind, scale, where = spec.init.kind, spec.init.scale, {"device": self.device}
        if kind == "integer":
            return torch.randint(int(scale), shape, **where)
        if kind == "sign":
            return torch.randint(2, shape, **where) * (2.0 * scale) - scale
        if kind == "uniform":
            return torch.rand(shape, **where) * (2.0 * scale) - scale
        return torch.randn(shape, **where) * scale if kind == "normal" else torch.full(shape, scale, **where)


def write_by_hand(arm: Arm, device: torch.device) -> Loop | None:
    """Return ``loop.py``'s loop of the arm; None if it has none."""
    model = arm.setup.model
    plain = {"name", "clip"} >= {*arm.rule.model_dump(exclude_defaults=True), "name"}
    protocol = model.name == "residual_mlp" and model.activation == "gelu" and model.expansion == 1
    if arm.rule.name not in RULES or not plain or not protocol or arm.setup.classes != 10:
        return None
    network = Network(arm.setup.dataset.features, model.width, model.blocks).to(device)
    made: Loop = RULES[arm.rule.name](network, 0.0)
    return made


def open_feed(images: np.ndarray, labels: np.ndarray, batch: int) -> Iterator[Batch]:
    """Return batches without end as ``loop.py`` loads them: PIL images in memory, transformed by two workers."""
    from PIL import Image

    pictures = map(Image.fromarray, images.transpose(0, 2, 3, 1))
    data = InMemory(list(zip(pictures, labels.tolist(), strict=True)), make_transform())
    endless = RandomSampler(data, replacement=True, num_samples=10**9)
    return iter(DataLoader(data, batch, sampler=endless, num_workers=WORKERS, multiprocessing_context="fork"))


def time_steps(loop: Loop, batches: Iterator[Batch], count: int, device: torch.device, limit: float = 30.0) -> float:
    """Return the mean seconds of a step, its batch's way to the device included, over ``count`` steps after warm-up.

    A loop that takes longer than ``limit`` is cut off.
    """

    def train(number: int) -> int:
        done, began = 0, time.perf_counter()
        for x, y in islice(batches, number):
            loop.step(x.to(device), y.to(device))
            done += 1
            if time.perf_counter() - began > limit:
                break
        wait(device)
        return done

    train(WARM_UP)
    start = time.perf_counter()
    done = train(count)
    return (time.perf_counter() - start) / done


def wait(device: torch.device) -> None:
    """Wait until a card has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_operations(loop: DefinitionLoop, x: Tensor, y: Tensor) -> int:
    """Return the operations of the products of one step of one replica, by PyTorch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        loop.step(x, y)
    return int(counter.get_total_flops())


def describe(loop: Any) -> str:
    """Return how a loop is written, for a table."""
    return "the definition" if isinstance(loop, DefinitionLoop) else "by hand"


def measure_loop(arm: Arm, options: Any, device: Device, feed: Iterator[Batch] | None) -> dict[str, Any]:
    """Return the mean seconds of a step of one replica: on a batch that lies on the device, and with a loader."""
    torch.manual_seed(0)
    definition = DefinitionLoop(arm, device.torch)
    by_hand = write_by_hand(arm, device.torch)
    x = torch.randn(options.batch, arm.setup.dataset.features, device=device.torch)
    y = torch.randint(arm.setup.classes, (options.batch,), device=device.torch)
    with use_precision("float32", device):
        loop = by_hand or definition
        found: dict[str, Any] = {"loop": describe(loop)}
        found["loop_step_seconds"] = time_steps(loop, repeat((x, y)), options.loop_steps, device.torch)
        if feed is not None:
            found["loop_seconds"] = time_steps(loop, feed, options.loader_batches, device.torch)
        if by_hand is not None:
            same = time_steps(definition, repeat((x, y)), options.loop_steps, device.torch)
            found["definition_step_seconds"] = same
        counted = count_operations(definition, x, y)
    return found | count_floors(arm, options, counted)


def count_floors(arm: Arm, options: Any, counted: int) -> dict[str, Any]:
    """Return what a step of all replicas has to move and to do, counted as ``compare.py`` does for BP and DFA.

    Per trained number AdamW reads weight, gradient and two moments and writes three of them, and backward writes the
    gradient; weights, and what stands in for them on the way back, are read once each way; a rule's own trained tensors
    count as weights do; what is drawn at a step is written once and read once, and what evolves is read and written.
    Input and output of every product count once. Operations are what the rule says (``count_flops``), otherwise
    ``counted`` by PyTorch in one step of the definition.
    """
    setup, rule = arm.setup, arm.rule
    sizes = (setup.model, setup.dataset.features, setup.classes)
    tensors = RuleTensors.of(rule, *sizes)
    numbers = 0
    for spec in setup.model.parameters(*sizes[1:]):
        size = math.prod(spec.shape)
        numbers += size * (9 + (spec.group != "embedding"))
        numbers += setup.batch_size * sum(spec.shape) if len(spec.shape) == 2 else 0
    numbers += 10 * sum(math.prod(spec.shape) for spec in tensors.own)
    numbers += (2 if rule.evolves else 1) * sum(math.prod(spec.shape) for spec in tensors.feedback)
    for spec in tensors.draws:
        numbers += 2 * math.prod(setup.batch_size if size is None else size for size in spec.shape)
    known = rule.count_flops(*sizes, frozenset())
    operations = counted if known is None else known.total * setup.batch_size
    found = {"moved_bytes": 4 * numbers * options.replicas, "operations": operations * options.replicas}
    return found | {"operations_by": "counter" if known is None else "rule"}
