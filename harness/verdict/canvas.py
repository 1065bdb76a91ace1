"""The canvas that all figures share: size, colours, type, legend, and bytes that depend on the data alone."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import HarnessError
from harness.verdict.text import format_exact, format_number, join_lines
from harness.wording import typeset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ONE_DECADE, MANY_DECADES = 10, 1000  # of ratios: wider axes are labelled by 1, 2, 5, 10, and by powers of ten alone
WIDTH = 7.5  # inches; an SVG point is 4/3 of a pixel, so that GitHub shows 720 pixels
TEXT, MUTED = "#1a1a1a", "#5f5f5f"
# Okabe and Ito's palette, which colour-blind readers can distinguish; yellow is too pale for lines and omitted.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Lines are drawn over one another in this order, so that each leaves gaps through which the ones below show.
DASHES = ("solid", (0, (4, 2.5)), (0, (1, 2.5)), (0, (6, 2, 1, 2)), (0, (2, 4)))
MARKERS = ("o", "s", "^", "D", "v", "P")
TINTS = ("#cfe6f5", "#fbe3b8", "#f1d9e6", "#c9e9de", "#f9f5b8", "#e4e4e4")  # the same hues, mixed with white
FONT = "DejaVu Sans of matplotlib"
"""Font that comes with matplotlib, by a name that no system font has, since a system's may be another version."""
STYLE = {
    "font.family": FONT,
    "font.size": 9,
    "text.color": TEXT,
    "text.parse_math": False,  # a $ in a label is a dollar
    "axes.labelcolor": TEXT,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.formatter.useoffset": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "harness",
    "pdf.fonttype": 42,  # TrueType: publishers take no Type 3
}
METADATA: Mapping[str, Mapping[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Format of a figure → what its file must not say, since it would depend on the day or on matplotlib's version."""


class Drawing(NamedTuple):
    """A figure that is drawn when it is asked for; a page needs only its description."""

    height: float
    """Height in inches."""
    draw: Callable[[Figure], None]
    """Function that draws on an empty figure."""
    pilot: bool
    """True for a pilot's figure, which has a watermark."""
    alt: str
    """Description for readers who cannot see it."""
    alt_before: str | None = None
    """Description on pages of form 1 or 2, if it differs."""

    @property
    def told_before(self) -> str:
        """Description on pages of form 1 or 2."""
        return self.alt if self.alt_before is None else self.alt_before

    def svg(self, *, before: bool = False, form: str = "svg") -> bytes:
        """Draw the figure as SVG; ``before``: as for pages of form 1 or 2; ``form``: as ``pdf`` instead.

        Raises:
            CannotDraw: as ``draw_svg``.
        """
        return draw_svg(self.height, self.draw, pilot=self.pilot, before=before, form=form)

    def figure(self) -> Figure:
        """Draw the figure as an object of matplotlib, which can be changed and saved in any format.

        Raises:
            CannotDraw: as ``draw_svg``.
        """
        return draw_figure(self.height, self.draw, pilot=self.pilot)


class CannotDraw(HarnessError):
    """A figure could not be drawn here; no conclusion depends on one."""


def draw_svg(
    height: float, draw: Callable[[Figure], None], *, pilot: bool, before: bool = False, form: str = "svg"
) -> bytes:
    """Return the figure that ``draw`` makes, ``height`` inches tall, as SVG; watermarked if it is a pilot's.

    ``before``: with hyphens for minus signs, as the figures of form 1 or 2 have them. ``form``: ``pdf`` for PDF.

    Raises:
        CannotDraw: matplotlib is not there, or fails, for a reason that lies in this computer more likely than here.
    """
    stream = io.BytesIO()
    metadata: dict[str, Any] = dict(METADATA[form])
    with _drawing(before=before):
        _make_figure(height, draw, pilot=pilot, before=before).savefig(stream, format=form, metadata=metadata)
    return stream.getvalue()


def draw_figure(height: float, draw: Callable[[Figure], None], *, pilot: bool) -> Figure:
    """Return the same figure as an object of matplotlib.

    Raises:
        CannotDraw: as ``draw_svg``.
    """
    with _drawing(before=False):
        return _make_figure(height, draw, pilot=pilot, before=False)


@contextmanager
def _drawing(*, before: bool) -> Iterator[None]:
    """Have matplotlib draw in harness's style, and its failures told as ``CannotDraw``."""
    try:
        _prepare()
        import matplotlib.style

        style = STYLE | {"axes.unicode_minus": not before}
        # A style context starts from matplotlib's own defaults instead of the user's matplotlibrc, and restores it.
        with matplotlib.style.context(["default", style]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations and missing glyphs are no errors here
            yield
    except Exception as error:  # matplotlib and its libraries may raise anything
        raise CannotDraw(
            f"the figure could not be drawn: {type(error).__name__}: {error}",
            where="matplotlib",
            remedy="see what it says, mend it, and draw it again: harness reverdict RUN --figures",
        ) from error


def _make_figure(height: float, draw: Callable[[Figure], None], *, pilot: bool, before: bool) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    draw(figure)
    for axes in figure.axes if not before else ():
        write_ticks_in_full(axes.xaxis)
        write_ticks_in_full(axes.yaxis)
    for text in figure.findobj(Text) if not before else ():
        assert isinstance(text, Text)
        text.set_text(typeset(text.get_text()))
    if pilot:
        figure.text(
            0.5, 0.5, "PILOT — never an outcome", ha="center", va="center", fontsize=30, fontweight="bold",
            rotation=12, color="#c00000", alpha=0.25, zorder=10,
        )  # fmt: skip
    return figure


def try_drawing() -> None:
    """Draw something small to test whether figures can be drawn.

    Raises:
        CannotDraw: as ``draw_svg``.
    """

    def write(figure: Figure) -> None:
        figure.text(0.5, 0.5, "a figure")

    draw_svg(0.5, write, pilot=False)


def load_in_parts() -> Iterator[None]:
    """Load whatever figures are drawn with, a part at each step; what fails is told when a figure is drawn.

    Where matplotlib's settings lie in the current folder, nothing is: it is loaded elsewhere then, and whoever writes a
    file in the meantime would write it there.
    """
    if Path("matplotlibrc").exists():
        return
    with suppress(Exception):
        _prepare()
        yield
        for name in ("matplotlib.figure", "matplotlib.style"):
            import_module(name)
        yield
        try_drawing()
        yield


@cache
def _prepare() -> None:
    """Load matplotlib and rename its own font so that no other is mistaken for it."""
    with _hide_settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matplotlib import font_manager, get_data_path

    fonts = Path(get_data_path()) / "fonts" / "ttf"
    for file, weight in (("DejaVuSans.ttf", 400), ("DejaVuSans-Bold.ttf", 700)):
        entry = font_manager.FontEntry(str(fonts / file), name=FONT, weight=weight, stretch="normal", size="scalable")
        font_manager.fontManager.ttflist.append(entry)


@contextmanager
def _hide_settings() -> Iterator[None]:
    """Make matplotlib load without the user's settings, since a backend or a file that it rejects would stop it.

    It looks for a file of settings in the folder that it is loaded in first, then where the environment says.
    """
    found = find_spec("matplotlib")
    own = Path(found.origin).parent / "mpl-data" if found is not None and found.origin is not None else None
    before = {name: os.environ.pop(name, None) for name in ("MPLBACKEND", "MATPLOTLIBRC")}
    if own is not None:
        os.environ["MATPLOTLIBRC"] = str(own / "matplotlibrc")
    here = None
    if own is not None and Path("matplotlibrc").exists():
        here = Path.cwd()
        os.chdir(own)
    try:
        yield
    finally:
        if here is not None:
            os.chdir(here)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a position given in inches from the upper left corner."""
    total = figure.get_figheight()
    return figure.add_axes((left / WIDTH, 1 - (top + height) / total, width / WIDTH, height / total))


def shorten(label: str, length: int = 44) -> str:
    """Return a label on one line, cut to ``length`` characters."""
    label = join_lines(label)
    return label if len(label) <= length else f"{label[: length - 1].rstrip()}…"


def choose_line_style(index: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the arm at a position; the first is solid with a filled marker.

    The others' markers are larger and hollow, so that none hides another where lines coincide. The numbers of dashes
    and markers have no common factor: 30 arms look different even without colours.
    """
    color = LINES[index % len(LINES)]
    return {
        "color": color, "linestyle": DASHES[index % len(DASHES)], "marker": MARKERS[index % len(MARKERS)],
        "markersize": 4 if index == 0 else 7, "markerfacecolor": color if index == 0 else "none",
    }  # fmt: skip


def count_legend_rows(labels: Mapping[int, str]) -> int:
    """Return the number of rows that the legend of these labels takes."""
    return -(-len(labels) // _count_columns(labels))


def add_legend(figure: Figure, labels: Mapping[int, str]) -> None:
    """Add a legend with one entry per arm (its position → its label) above all panels, where it covers no data."""
    from matplotlib.lines import Line2D

    handles: list[Line2D] = [Line2D([], [], linewidth=1.8, **choose_line_style(index)) for index in labels]
    figure.legend(
        handles, [shorten(label) for label in labels.values()], loc="upper left", bbox_to_anchor=(0.01, 1.0),
        ncols=_count_columns(labels), handlelength=2.9, columnspacing=1.6, borderaxespad=0.3,
    )  # fmt: skip


def _count_columns(labels: Mapping[int, str]) -> int:
    widest = max(len(shorten(label)) for label in labels.values()) * 0.075 + 0.6
    return max(1, min(len(labels), int((WIDTH - 0.2) / widest)))


def set_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Set readable ticks on a log axis over positive values from ``low`` to ``high``."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    few = high < 1e3 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: str(format_number(value)) if few else _write_power(value)))
    axis.set_minor_locator(NullLocator())


def write_ticks_in_full(axis: Axis) -> None:
    """Write each tick's number in full where a common factor, ``1e-6``, would stand beside the axis, over its label."""
    from matplotlib.ticker import FuncFormatter, ScalarFormatter

    formatter = axis.get_major_formatter()
    if isinstance(formatter, ScalarFormatter):
        formatter.set_locs(axis.get_majorticklocs().tolist())
        if formatter.get_offset():
            axis.set_major_formatter(FuncFormatter(lambda value, _: typeset(f"{value:.6g}")))


def _write_power(value: float) -> str:
    return "10" + str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def set_ratio_axis(axes: Axes) -> None:
    """Let a horizontal axis of ratios be logarithmic, after its limits were set: 0.5 and 2 are as far from 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = axes.get_xlim()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    wide = LogLocator(subs=(1, 2, 5) if high / low < MANY_DECADES else (1,), numticks=8)
    axes.xaxis.set_major_locator(wide if high / low > ONE_DECADE else MaxNLocator(nbins=6, prune="both"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_exact(value)))
