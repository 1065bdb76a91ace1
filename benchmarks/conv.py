"""The forms of a convolution over stacked replicas beside one another, and beside a loop over single replicas.

    python benchmarks/conv.py --device cuda
    python benchmarks/conv.py --device cuda --replicas 40 --seconds 60 --out conv.json
    python benchmarks/conv.py --device cpu --replicas 1 4 --samples 16

Each is timed forwards and backwards (the gradients of weight and bias, and of the input but for a first layer), in
strict float32 with cuDNN told to give the same bits twice, all in one run. ``loop`` is what one process per seed does:
r convolutions of one replica, with cuDNN's own layout and nothing stacked. ``choose_form`` in
``harness/batched/convolution.py`` is where the choice is made; its choice is marked with *. ``--forms`` writes the
card's table in ``harness/batched/forms.py`` from what ``--out`` holds: ``python benchmarks/conv.py --forms conv.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from harness.batched.convolution import choose_form, convolve
from harness.batched.forms import Form, Layer
from harness.batched.windows import Window
from harness.training import open_device
from harness.training.device import use_precision

FORMS: tuple[Form, ...] = get_args(Form)


class Shape(NamedTuple):
    """A layer: channels in and out, side of the image, window."""

    name: str
    channels: int
    out: int
    side: int
    window: Window
    first: bool = False
    """True if nothing before the layer is trained, so that no gradient of its input is needed."""


SHAPES = (
    Shape("LeNet 1", 3, 32, 32, Window(3), first=True),
    Shape("LeNet 2", 32, 64, 15, Window(3)),
    Shape("LeNet 3", 64, 128, 6, Window(3)),
    Shape("Nøkland 1", 3, 96, 32, Window(5, 1, 2), first=True),
    Shape("Nøkland 2", 96, 128, 15, Window(5, 1, 2)),
    Shape("ResNet 16", 16, 16, 32, Window(3, 1, 1)),
    Shape("ResNet 32", 32, 32, 16, Window(3, 1, 1)),
    Shape("ResNet 64", 64, 64, 8, Window(3, 1, 1)),
    Shape("ResNet 16 to 32", 16, 32, 32, Window(3, 2, 1)),
)


MARGIN, PATCHES = 1.1, 1.5
"""Times that a form must be faster than the grouped one to be chosen, and than any other one where it is batched:
patches take k·k times the memory of the images."""


def list_forms(rows: list[dict[str, Any]]) -> dict[Layer, tuple[tuple[int, Form], ...]]:
    """Return the table of a card, layers without another form than the grouped one left out."""
    found: dict[Layer, tuple[tuple[int, Form], ...]] = {}
    for shape in SHAPES:
        own = sorted((row["replicas"], choose(row)) for row in rows if row["layer"] == shape.name)
        while own and own[0][1] == "grouped":
            own.pop(0)
        if own:
            found[Layer(shape.channels, shape.out, shape.side, shape.window)] = tuple(own)
    return found


def choose(row: dict[str, Any]) -> Form:
    """Return the form to take by one row of measurements, in which None stands for too little memory."""
    times: dict[Form, float] = {form: float("inf") if row[form] is None else row[form] for form in FORMS}
    if PATCHES * times["batched"] < min(times["grouped"], times["looped"]):
        return "batched"
    return "looped" if MARGIN * times["looped"] < times["grouped"] else "grouped"


def make(shape: Shape, replicas: int, samples: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return images [r, n, c, s, s], weights [r, c·k·k, o] and biases [r, o]."""
    generator = torch.Generator().manual_seed(0)
    sizes = (
        (replicas, samples, shape.channels, shape.side, shape.side),
        (replicas, shape.channels * shape.window.side**2, shape.out),
        (replicas, shape.out),
    )
    x, weight, bias = (torch.randn(size, generator=generator).to(device) for size in sizes)
    return x.requires_grad_(not shape.first), weight.requires_grad_(), bias.requires_grad_()


def loop(x: Tensor, weight: Tensor, bias: Tensor, window: Window) -> list[Tensor]:
    """Convolve every replica by itself."""
    kernels = weight.mT.reshape(len(weight), -1, x.shape[2], window.side, window.side)
    each = zip(x, kernels, bias, strict=True)
    return [functional.conv2d(one, own, add, window.stride, window.padding) for one, own, add in each]


def measure(shape: Shape, form: str, options: Any, replicas: int) -> float | None:
    """Return the median milliseconds of a form, forwards and backwards; None if there is not enough memory."""
    device = open_device(options.device)
    try:
        tensors = make(shape, replicas, options.samples, device.torch)
        leaves = [tensor for tensor in tensors if tensor.requires_grad]
        times = []
        with use_precision("float32", device):
            for _ in range(options.repeats + 2):
                wait(device.torch)
                start = time.perf_counter()
                if form == "loop":
                    total = torch.stack([one.square().sum() for one in loop(*tensors, shape.window)]).sum()
                else:
                    total = convolve(*tensors, shape.window, form).square().sum()  # type: ignore[arg-type]
                torch.autograd.grad(total, leaves)
                wait(device.torch)
                times.append(time.perf_counter() - start)
    except torch.OutOfMemoryError:
        return None
    return 1e3 * statistics.median(times[2:])


def wait(device: torch.device) -> None:
    """Wait until a card has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: list[str] | None = None) -> None:
    """Print a table as Markdown, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 10, 40])
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="threads of a processor")
    parser.add_argument("--shapes", nargs="+", choices=[shape.name for shape in SHAPES], help="default: all")
    parser.add_argument("--seconds", type=float, default=600.0, help="begin no row after so long")
    parser.add_argument("--out", type=Path, help="write every number as JSON, anew after every row")
    parser.add_argument("--forms", type=Path, help="print the table of forms of what --out wrote, measure nothing")
    options = parser.parse_args(arguments)
    if options.forms:
        measured = json.loads(options.forms.read_text(encoding="utf-8"))
        print(f'"{measured["device"]}": {{')
        for layer, forms in list_forms(measured["rows"]).items():
            print(f"    {layer}: {forms},")
        print("},")
        return
    torch.set_num_threads(options.threads)
    device = open_device(options.device)
    print(f"{device.name}, PyTorch {torch.__version__}, {options.samples} samples, ms forwards and backwards\n")
    print(f"| layer | replicas | {' | '.join(FORMS)} | loop | loop / chosen |")
    print(f"| -- | -- | {' | '.join('--' for _ in FORMS)} | -- | -- |")
    rows: list[dict[str, Any]] = []
    shapes = [shape for shape in SHAPES if options.shapes is None or shape.name in options.shapes]
    began = time.monotonic()
    for replicas in options.replicas:
        for shape in shapes:
            if time.monotonic() - began > options.seconds:
                print(f"\nNo time for {shape.name} with {replicas} replicas, and what follows.")
                return
            found = {form: measure(shape, form, options, replicas) for form in (*FORMS, "loop")}
            like = torch.empty(
                replicas, 1, shape.channels, shape.side, shape.side, device=device.torch
            )  # its sizes but for samples are what is asked about
            chosen = choose_form(like, shape.out, shape.window)
            shown = ["–" if found[form] is None else f"{found[form]:.3g}{'*' * (form == chosen)}" for form in found]
            both = found["loop"], found[chosen]
            ratio = "–" if both[0] is None or both[1] is None else f"{both[0] / both[1]:.2f}"
            print(f"| {shape.name} | {replicas} | {' | '.join(shown)} | {ratio} |", flush=True)
            rows.append({"layer": shape.name, "replicas": replicas, "chosen": chosen, **found})
            if options.out:
                result = {"device": device.name, "torch": torch.__version__, "samples": options.samples, "rows": rows}
                options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
