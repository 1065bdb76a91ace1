"""The figure of the claims: a box per claim, coloured and signed by its standing, an arrow to what it stands on.

It is drawn twice, in layers, and in a column for screens on which most of the layers would lie outside."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.pipeline.claims import Table
from harness.site.layout import Column, Part, lay_out_parts, stack
from harness.site.marks import element, group, join, label, number, wrap
from harness.wording import format_count

SIGNS = {"untested": "○", "supported": "✓", "in question": "?", "walked back": "✗"}
"""Standing → its sign, so that it shows without colours."""
BOX, TALL, GAP, MARGIN = 208.0, 84.0, 56.0, 12.0
"""Width and height of a box, the gap between layers, and the margin."""
LETTERS, LINES = 30, 3
"""Letters in a line of a statement, and lines."""
APART, LANE, BEND = 16.0, 9.0, 5.0
"""The gap between boxes of the column, the distance of lanes, and the radius at which an edge turns into its lane."""


def draw_layers(table: Table) -> Markup:
    """Draw the claims as they stand in layers, each above what it stands on."""
    parts = lay_out_parts({name: claim.stands_on for name, claim in table.claims.claims.items()})
    layers = max((part.top + part.layout.layers for part in parts), default=0)
    width = 2 * MARGIN + max((part.left + part.layout.width for part in parts), default=1.0) * BOX
    height = 2 * MARGIN + layers * TALL + max(0, layers - 1) * GAP
    edges = [_draw_edge(part, upper, lower) for part in parts for upper, lower in part.layout.bends]
    boxes = [
        _draw_box(table, name, *_find_place(part, *place))
        for part in parts
        for name, place in part.layout.places.items()
    ]
    return _draw(edges, boxes, width, height, "layers")


def draw_column(table: Table) -> Markup:
    """Draw the claims as they stand one below the other, each above what it stands on; edges lie beside them."""
    column = stack(lay_out_parts({name: claim.stands_on for name, claim in table.claims.claims.items()}))
    left = MARGIN + LANE * (1 + max(column.lanes.values(), default=-1)) + (MARGIN if column.lanes else 0)
    rows = len(column.rows)
    edges = [_draw_lane(column, upper, lower, left) for upper, lower in column.edges]
    boxes = [_draw_box(table, name, left + BOX / 2, _find_row(row)) for name, row in column.rows.items()]
    return _draw(edges, boxes, left + BOX + MARGIN, 2 * MARGIN + rows * (TALL + APART) - APART, "column")


def _draw(edges: Sequence[Markup], boxes: Sequence[Markup], width: float, height: float, way: str) -> Markup:
    arrow = element("path", d="M0 0L8 4L0 8Z", class_="head")
    marker = element(
        "marker", arrow, id=f"arrow-{way}", viewBox="0 0 8 8", refX=7.0, refY=4.0, markerWidth=8.0, markerHeight=8.0,
        orient="auto",
    )  # fmt: skip
    count = format_count(len(boxes), "claim")
    return element(
        "svg",
        join((element("defs", marker), group(*edges), group(*boxes))),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=number(width),
        height=number(height),
        class_=f"claims {way}",
        role="group",
        aria_label=f"{count}; an arrow leads from a claim to each claim that it stands on",
    )


def _find_row(row: int) -> float:
    """Return the middle of a row of the column in pixels."""
    return MARGIN + TALL / 2 + row * (TALL + APART)


def _draw_lane(column: Column, upper: str, lower: str, left: float) -> Markup:
    """Draw an edge from the left side of a box along the lane of another to that one's left side."""
    lane = left - MARGIN - LANE * column.lanes[lower]
    begin, end = _find_row(column.rows[upper]) + TALL / 4, _find_row(column.rows[lower]) - TALL / 4
    written = (
        f"M{number(left)} {number(begin)}H{number(lane + BEND)}"
        f"Q{number(lane)} {number(begin)} {number(lane)} {number(begin + BEND)}V{number(end - BEND)}"
        f"Q{number(lane)} {number(end)} {number(lane + BEND)} {number(end)}H{number(left)}"
    )
    return _draw_arrow(upper, lower, written, "column")


def _find_place(part: Part, x: float, layer: int) -> tuple[float, float]:
    """Return the middle of a place in pixels."""
    row = part.top + part.layout.layers - 1 - layer
    return MARGIN + (part.left + x) * BOX, MARGIN + TALL / 2 + row * (TALL + GAP)


def _draw_edge(part: Part, upper: str, lower: str) -> Markup:
    """Draw an edge from the lower side of a box to the upper side of another, straight past the layers between."""
    layout = part.layout
    x, y = _find_place(part, *layout.places[upper])
    written, at = f"M{number(x)} {number(y + TALL / 2)}", (x, y + TALL / 2)
    stops = [_find_place(part, *bend) for bend in layout.bends[upper, lower]]
    end = _find_place(part, *layout.places[lower])
    for x, y in (*stops, end):
        top, half = y - TALL / 2, (at[1] + y - TALL / 2) / 2
        written += f"C{number(at[0])} {number(half)} {number(x)} {number(half)} {number(x)} {number(top)}"
        at = (x, top)
        if (x, y) != end:
            written += f"L{number(x)} {number(y + TALL / 2)}"
            at = (x, y + TALL / 2)
    return _draw_arrow(upper, lower, written, "layers")


def _draw_arrow(upper: str, lower: str, written: str, way: str) -> Markup:
    told = element("title", f"{upper} stands on {lower}")
    return element("path", told, d=written, class_="edge", marker_end=f"url(#arrow-{way})")


def _draw_box(table: Table, name: str, x: float, y: float) -> Markup:
    status = table.standings[name].status
    left, top = x - BOX / 2, y - TALL / 2
    lines = wrap(table.claims.claims[name].statement, LETTERS, LINES)
    parts = [
        element("title", f"{name}: {status}. {table.claims.claims[name].statement}"),
        element("rect", x=left, y=top, width=BOX, height=TALL, rx=6.0),
        element("text", SIGNS[status], x=left + 10, y=top + 19, class_="sign"),
        label(left + 27, top + 18, name, length=24, class_="name"),
        *(label(left + 10, top + 37 + 14 * row, line, class_="small") for row, line in enumerate(lines)),
        element("text", status, x=left + BOX - 10, y=top + TALL - 6, class_="small status", text_anchor="end"),
    ]
    return element(
        "a",
        join(parts),
        href=f"#claim-{name}",
        class_=f"claim {status.replace(' ', '-')}",
        data_claim=name,
        data_status=status,
    )
