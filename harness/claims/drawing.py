"""The graph of claims as Mermaid in Markdown and as DOT. Arrows lead from a claim to the claims that it stands on.

Statements come from a file that anyone may have written, so that everything with a meaning in either language is
escaped.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from harness.records import Claims, ClaimStanding, Move
from harness.wording import make_plain_line

COLOURS = {"untested": "#eeeeee", "supported": "#c8e6c9", "in question": "#fff3c4", "walked back": "#ffcdd2"}
VERDICT_COLOUR = "#dbe7f5"
WIDTH = 44  # characters per line of a label


def draw_mermaid(
    claims: Claims,
    standings: Mapping[str, ClaimStanding],
    moves: Sequence[Move],
    asked: Mapping[str, str] | None = None,
) -> str:
    """Return a Markdown block that GitHub and others draw.

    ``claims`` come from ``find_known_claims``, ``standings`` cover all of them, ``moves`` are in ledger order,
    and ``asked`` says in words how often each claim was asked.
    """
    lines = ["```mermaid", "flowchart BT"]
    nodes = {name: f"c{number}" for number, name in enumerate(claims.claims)}
    for name, node in nodes.items():
        label = _write_label(name, claims, standings, _escape_mermaid, "<br/>", asked)
        lines.append(f'    {node}["{label}"]:::{standings[name].status.replace(" ", "_")}')
    for name, node in nodes.items():
        lines += [f"    {node} -->|stands on| {nodes[below]}" for below in claims.claims[name].stands_on]
    for number, (title, edges) in enumerate(_list_verdicts(moves)):
        lines.append(f'    v{number}(["{"<br/>".join(map(_escape_mermaid, title))}"]):::verdict')
        lines += [f"    v{number} -.->|{did}| {nodes[claim]}" for did, claim in edges]
    lines += [f"    classDef {name.replace(' ', '_')} fill:{fill},color:#111" for name, fill in COLOURS.items()]
    lines += [f"    classDef verdict fill:{VERDICT_COLOUR},color:#111", "```"]
    return "\n".join(lines) + "\n"


def draw_dot(
    claims: Claims,
    standings: Mapping[str, ClaimStanding],
    moves: Sequence[Move],
    asked: Mapping[str, str] | None = None,
) -> str:
    """Return the same graph for Graphviz."""
    lines = ["digraph claims {", "    rankdir=BT;", '    node [shape=box, style=filled, fontname="sans-serif"];']
    nodes = {name: f"c{number}" for number, name in enumerate(claims.claims)}
    for name, node in nodes.items():
        label = _write_label(name, claims, standings, _escape_dot, "\\n", asked)
        lines.append(f'    {node} [label="{label}", fillcolor="{COLOURS[standings[name].status]}"];')
    for name, node in nodes.items():
        lines += [f'    {node} -> {nodes[below]} [label="stands on"];' for below in claims.claims[name].stands_on]
    for number, (title, edges) in enumerate(_list_verdicts(moves)):
        label = "\\n".join(map(_escape_dot, title))
        lines.append(f'    v{number} [label="{label}", shape=oval, fillcolor="{VERDICT_COLOUR}"];')
        lines += [f'    v{number} -> {nodes[claim]} [label="{did}", style=dashed];' for did, claim in edges]
    return "\n".join([*lines, "}"]) + "\n"


def _write_label(
    name: str,
    claims: Claims,
    standings: Mapping[str, ClaimStanding],
    plain: Callable[[str], str],
    line_end: str,
    asked: Mapping[str, str] | None,
) -> str:
    """Return the name and standing, then the wrapped statement and how often it was asked."""
    statement = textwrap.wrap(" ".join(claims.claims[name].statement.split()), WIDTH)
    counted = [asked[name]] if asked and name in asked else []
    return line_end.join(plain(line) for line in (f"{name}: {standings[name].status}", *statement, *counted))


def _list_verdicts(moves: Sequence[Move]) -> list[tuple[tuple[str, str], list[tuple[str, str]]]]:
    """Return each verdict that moves claims: its two lines, and its edges to claims."""
    found = []
    for move in moves:
        implied = move.implication
        edges = [("supports", name) for name in implied.supports]
        edges += [("walks back", name) for name in implied.walks_back]
        edges += [("restores", name) for name in implied.restores]
        if edges:
            deviated = ", deviated" if move.deviated else ""
            found.append(((f"{move.hypothesis} = {move.outcome}", f"{move.run}{deviated}"), edges))
    return found


def _escape_mermaid(text: str) -> str:
    """Return the text with everything but letters, digits and harmless characters as Mermaid's entities."""
    seen = make_plain_line(text)
    return "".join(char if char.isalnum() or char in " .,:;=-+'/()" else f"#{ord(char)};" for char in seen)


def _escape_dot(text: str) -> str:
    return make_plain_line(text).replace("\\", "\\\\").replace('"', '\\"')
