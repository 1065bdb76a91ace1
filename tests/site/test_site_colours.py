"""Arms are told apart by everybody: by colour, whatever kind of colour vision, and by dash and marker without one."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from harness.site.curves import draw_key
from harness.site.rendering import find_folder

STYLE = (find_folder() / "site.css").read_text(encoding="utf-8")
VISION = {  # Machado, Oliveira and Fernandes 2009, severity 1
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def read_scheme(number: int) -> dict[str, tuple[float, ...]]:
    """The colours of the light scheme (0) or the dark one (1), linear RGB."""
    block = STYLE.split("--page:")[number + 1].split("}")[0]
    found = dict(re.findall(r"--(\w+): #(\w+)", f"--page:{block}"))
    whole = {name: text if len(text) == 6 else "".join(2 * one for one in text) for name, text in found.items()}
    return {name: tuple(linear(int(text[at : at + 2], 16) / 255) for at in (0, 2, 4)) for name, text in whole.items()}


def linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour: tuple[float, ...]) -> float:
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), colour, strict=True))


def lab(colour: tuple[float, ...]) -> tuple[float, float, float]:
    r, g, b = (min(1.0, max(0.0, one)) for one in colour)
    parts = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    )
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in parts)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_eight_colours_are_apart_for_everybody_and_seen_on_the_page(scheme: int) -> None:
    colours = read_scheme(scheme)
    arms = [colours[f"c{index}"] for index in range(8)]
    for arm in arms:
        low, high = sorted((luminance(arm), luminance(colours["page"])))
        assert (high + 0.05) / (low + 0.05) >= 3
    for name, matrix in VISION.items():
        seen = [lab(tuple(sum(a * b for a, b in zip(row, arm, strict=True)) for row in matrix)) for arm in arms]
        assert min(math.dist(one, other) for one, other in itertools.combinations(seen, 2)) > 30, name


def test_arms_differ_without_colours_too() -> None:
    for kind in ("c", "d"):
        assert all(re.search(rf"\.{kind}{index} {{", STYLE) for index in range(kind == "d", 8))
    keys = [str(draw_key(index)) for index in range(64)]
    assert len(set(keys)) == 64
    plain = [re.sub(r'class="c\d"', "", key) for key in keys]
    assert len({re.search(r"mean (d\d)", key).group(1) for key in plain[:8]}) == 8
    assert len({key.split("/>")[1] for key in plain[:8]}) == 8, "eight markers"
