"""A layered drawing of a directed graph: what stands on nothing lies below, edges lead past boxes through dummy nodes.

The method is Sugiyama's: layers by longest path, order by barycentres, places by neighbours. The same graph gives the
same drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 8
"""Sweeps over the layers, first for the order within them and then for the places."""
DUMMY = 0.3
"""Width of a dummy node, in boxes."""
GAP = 0.12
"""Distance between neighbours, in boxes."""
SHELF = 4.4
"""Width of a row of parts, in boxes, unless one part alone is wider."""

Node = str | tuple[str, str, int]
"""A node by its name, or a dummy node: the edge's ends and the layer."""


@dataclass(frozen=True)
class Layout:
    """A drawing: places in boxes from the left, and layers from below."""

    places: Mapping[str, tuple[float, int]]
    """Node → its middle, and its layer from 0."""
    bends: Mapping[tuple[str, str], tuple[tuple[float, int], ...]]
    """Edge, from upper to lower node → the places that it bends at, from above."""
    width: float
    """Width of the whole, in boxes."""
    layers: int
    """Number of layers."""


@dataclass(frozen=True)
class Part:
    """A part of a graph that no edge joins to the others, and where its drawing begins."""

    layout: Layout
    """Layout of the part alone."""
    left: float
    """Left end, in boxes."""
    top: int
    """Number of layers of other parts above it."""


@dataclass(frozen=True)
class Column:
    """A graph one node below the other, its edges in lanes beside it."""

    rows: Mapping[str, int]
    """Node → its row, from above; whatever it stands on is further below."""
    lanes: Mapping[str, int]
    """Node that others stand on → the lane of all edges to it, the nearest 0. In a lane no two nodes' edges meet."""
    edges: tuple[tuple[str, str], ...]
    """All edges, from upper to lower node."""


def stack(parts: Sequence[Part]) -> Column:
    """Put the nodes of a graph's parts one below the other, part after part."""
    order = [
        name
        for part in parts
        for name, _ in sorted(part.layout.places.items(), key=lambda place: (-place[1][1], place[1][0]))
    ]
    rows = {name: row for row, name in enumerate(order)}
    edges = tuple(edge for part in parts for edge in part.layout.bends)
    begins: dict[str, int] = {}
    for upper, lower in edges:
        begins[lower] = min(rows[upper], begins.get(lower, rows[upper]))
    lanes: dict[str, int] = {}
    for name in sorted(begins, key=lambda one: (rows[one] - begins[one], rows[one])):  # the shortest lie nearest
        met = {lane for other, lane in lanes.items() if begins[other] <= rows[name] and begins[name] <= rows[other]}
        lanes[name] = next(lane for lane in range(len(lanes) + 1) if lane not in met)
    return Column(rows, lanes, edges)


def lay_out_parts(below: Mapping[str, Sequence[str]]) -> tuple[Part, ...]:
    """Lay the parts of a graph out in rows, the largest first, so that little of the drawing is empty."""
    layouts = [lay_out(part) for part in _split(below)]
    room = max([SHELF, *(layout.width for layout in layouts)])
    parts: list[Part] = []
    left, top, tall = 0.0, 0, 0
    for layout in layouts:
        if left and left + layout.width > room + 1e-9:
            left, top, tall = 0.0, top + tall, 0
        parts.append(Part(layout, left, top))
        left, tall = left + layout.width + GAP, max(tall, layout.layers)
    return tuple(parts)


def _split(below: Mapping[str, Sequence[str]]) -> list[dict[str, Sequence[str]]]:
    """Return the parts that no edge joins, the largest first, each in the order of the whole."""
    part = {name: {name} for name in below}
    for name, lower in below.items():
        for one in lower:
            if one in part and part[one] is not part[name]:
                joined = part[name] | part[one]
                part |= dict.fromkeys(joined, joined)
    names = {id(found): found for found in part.values()}
    parts = [{name: below[name] for name in below if name in found} for found in names.values()]
    return sorted(parts, key=lambda found: -len(found))


def lay_out(below: Mapping[str, Sequence[str]]) -> Layout:
    """Lay a graph out: node → the nodes that it stands on. Nodes that are not keys are left out."""
    edges = _list_edges(below)
    layer = _find_layers(below, edges)
    count = max(layer.values(), default=-1) + 1
    rows: list[list[Node]] = [[] for _ in range(count)]
    for name in below:
        rows[layer[name]].append(name)
    up: dict[Node, list[Node]] = {}
    down: dict[Node, list[Node]] = {}
    chains: dict[tuple[str, str], list[Node]] = {}
    for upper, lower in edges:
        dummies: list[Node] = [(upper, lower, at) for at in range(layer[upper] - 1, layer[lower], -1)]
        for at, dummy in zip(range(layer[upper] - 1, layer[lower], -1), dummies, strict=True):
            rows[at].append(dummy)
        chains[upper, lower] = dummies
        chain: list[Node] = [upper, *dummies, lower]
        for one, other in pairwise(chain):
            down.setdefault(one, []).append(other)
            up.setdefault(other, []).append(one)
    _order(rows, up, down)
    x = _place(rows, up, down)
    left = min((x[node] - _measure(node) / 2 for row in rows for node in row), default=0.0)
    right = max((x[node] + _measure(node) / 2 for row in rows for node in row), default=0.0)
    return Layout(
        places={name: (x[name] - left, layer[name]) for name in below},
        bends={
            edge: tuple((x[node] - left, node[2]) for node in dummies if isinstance(node, tuple))
            for edge, dummies in chains.items()
        },
        width=right - left,
        layers=count,
    )


def _list_edges(below: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """List the edges without those that close a cycle, which nothing else reports as sound."""
    edges: list[tuple[str, str]] = []
    done: set[str] = set()
    for root in below:
        stack: list[tuple[str, Iterable[str]]] = [(root, iter(below[root]))] if root not in done else []
        open_ = {root}
        while stack:
            node, rest = stack[-1]
            lower = next((one for one in rest if one in below), None)
            if lower is None:
                done.add(node)
                open_.discard(node)
                stack.pop()
            elif lower not in open_:
                if (node, lower) not in edges:
                    edges.append((node, lower))
                if lower not in done:
                    open_.add(lower)
                    stack.append((lower, iter(below[lower])))
    return edges


def _find_layers(below: Mapping[str, Sequence[str]], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the length of the longest way from each node down to one that stands on nothing."""
    layer = dict.fromkeys(below, 0)
    changed = True
    while changed:
        changed = False
        for upper, lower in edges:
            if layer[upper] <= layer[lower]:
                layer[upper] = layer[lower] + 1
                changed = True
    return layer


def _order(rows: list[list[Node]], up: Mapping[Node, list[Node]], down: Mapping[Node, list[Node]]) -> None:
    """Order each layer by the mean place of its neighbours in the layer before, upwards and downwards in turn."""
    for sweep in range(SWEEPS):
        near, order = (down, range(1, len(rows))) if sweep % 2 == 0 else (up, range(len(rows) - 2, -1, -1))
        for at in order:
            other = rows[at - 1] if sweep % 2 == 0 else rows[at + 1]
            place = {node: index / max(1, len(other) - 1) for index, node in enumerate(other)}
            own = {node: index / max(1, len(rows[at]) - 1) for index, node in enumerate(rows[at])}

            def barycentre(node: Node, place: Mapping[Node, float] = place, own: Mapping[Node, float] = own) -> float:
                found = [place[one] for one in near.get(node, ()) if one in place]  # noqa: B023
                return sum(found) / len(found) if found else own[node]

            rows[at].sort(key=barycentre)


def _place(
    rows: Sequence[Sequence[Node]], up: Mapping[Node, list[Node]], down: Mapping[Node, list[Node]]
) -> dict[Node, float]:
    """Place the nodes of each layer near the mean of their neighbours, in their order and without overlap."""
    x: dict[Node, float] = {}
    for row in rows:
        x |= dict(zip(row, _spread(row, [0.0] * len(row)), strict=True))
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for node in row:
                near = [x[one] for one in (*up.get(node, ()), *down.get(node, ()))]
                wanted.append(sum(near) / len(near) if near else x[node])
            x |= dict(zip(row, _spread(row, wanted), strict=True))
    return x


def _spread(row: Sequence[Node], wanted: Sequence[float]) -> list[float]:
    """Return places as near as possible to the wanted ones, least squares, at which no two nodes overlap."""
    offsets, at = [], 0.0
    for index, node in enumerate(row):
        at += (_measure(row[index - 1]) + _measure(node)) / 2 + GAP if index else 0.0
        offsets.append(at)
    blocks: list[list[float]] = []  # sum of wanted − offset, and the number of nodes: pools of adjacent violators
    for place, offset in zip(wanted, offsets, strict=True):
        blocks.append([place - offset, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count]
    starts = [total / count for total, count in blocks for _ in range(int(count))]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _measure(node: Node) -> float:
    return 1.0 if isinstance(node, str) else DUMMY
