"""A Markdown page of each family of plug-ins, written from the plug-ins themselves: docs/plugins/."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.spec.explain import EXPLAINED, Explanation, Parameter, explain_family, name_member
from harness.wording import capitalise

INDEX = "index.md"
CODE = re.compile(r"(`+)(.+?)\1")
SPECIAL = re.compile(r"([\\*_<>\[\]|~#])")
INTRODUCTION = """What can be named under {key}, and what each does. Written from the plug-ins by
`harness explain --out`, which also has those of other packages; `harness explain {noun}.NAME` shows the same."""
KEYS = {
    "rules": "`rule`", "metrics": "`metric` and `setup.evaluation.metrics`", "models": "`setup.model`",
    "datasets": "`setup.dataset`", "penalties": "`penalty`", "criteria": "`criterion`", "beacons": "`seeds.beacon`",
    "preconditions": "`preconditions`", "optimizers": "`setup.optimizer`", "schedules": "`setup.optimizer.schedule`",
    "losses": "`setup.loss`", "adapters": "`results.form` and `harness link --form`",
    "launchers": "`[tool.harness.on.NAME]` of pyproject.toml, and not a hypothesis",
}  # fmt: skip
"""Family → where files name its members."""


def make_pages() -> dict[str, str]:
    """Return file name → contents of the page of each family, and of one that lists them all."""
    families = {family: explain_family(family) for family in EXPLAINED}
    pages = {f"{family}.md": _write_family(family, found) for family, found in families.items()}
    return {INDEX: _write_index(families), **pages}


def _write_index(families: dict[str, list[Explanation]]) -> str:
    lines = ["# Plug-ins", "", "What hypotheses can name, family by family; and, last, where they train.", ""]
    for family, found in families.items():
        names = ", ".join(f"[{plugin.name.replace('_', chr(92) + '_')}]({family}.md#{plugin.name})" for plugin in found)
        lines.append(f"- [{_title(family)}]({family}.md): {names}")
    return "\n".join(lines) + "\n"


def _write_family(family: str, found: list[Explanation]) -> str:
    introduction = INTRODUCTION.format(key=KEYS[family], noun=name_member(family, ""))
    blocks = [f"# {_title(family)}", " ".join(introduction.split())]
    for plugin in found:
        blocks += _write_plugin(plugin)
    return "\n\n".join(blocks) + "\n"


def _write_plugin(plugin: Explanation) -> Iterator[str]:
    """Yield the blocks of a plug-in: what is not told has none."""
    yield f"## {escape(plugin.name)}"
    yield from (escape(paragraph) for paragraph in plugin.text.split("\n\n"))
    if plugin.equation:
        yield f"```text\n{plugin.equation}\n```"
    for label, text in (("Use", plugin.use), ("Traps", plugin.traps), ("Source", plugin.source)):
        if text:
            yield f"**{label}.** {escape(text)}"
    if plugin.parameters:
        yield "\n".join(_write_parameters(plugin.parameters))
    if plugin.example is not None:
        yield f"In a file: `{plugin.example}`"


def _write_parameters(parameters: tuple[Parameter, ...]) -> Iterator[str]:
    yield "| parameter | values | default | unit | what it is |"
    yield "| -- | -- | -- | -- | -- |"
    for parameter in parameters:
        default = "required" if parameter.default is None else f"`{_shorten(parameter.default)}`"
        unit = {"1": "", None: ""}.get(parameter.unit, parameter.unit)
        cells = (f"`{parameter.name}`", escape(parameter.values), default, unit, escape(parameter.description))
        yield f"| {' | '.join(map(str, cells))} |"


def _shorten(default: str) -> str:
    """Return a default on one line, of which a long one is cut."""
    line = " ".join(default.split())
    return line if len(line) <= 60 else f"{line[:57]}…"


def _title(family: str) -> str:
    return {"datasets": "Data sets"}.get(family, capitalise(family))


def escape(text: str) -> str:
    """Return text in which nothing but what stands between backticks means anything in Markdown, on one line."""
    parts, end = [], 0
    line = " ".join(text.split())
    for code in CODE.finditer(line):
        parts += [SPECIAL.sub(r"\\\1", line[end : code.start()]), f"`{code[2]}`"]
        end = code.end()
    return "".join(parts) + SPECIAL.sub(r"\\\1", line[end:])
