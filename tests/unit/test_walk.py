"""docs/architecture.md tells of the tree as it is: the walk's files, the folders, the layers, the words in order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_file_that_the_newcomers_walk_names_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    walk = text.partition("## A newcomer's walk")[2].partition("\n## ")[0]
    named = [name for name in re.findall(r"`([\w/.<>]+\.(?:py|j2))`", walk) if "<" not in name]
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "harness" / name).exists() and not (ROOT / name).exists()] == []


def test_what_the_walk_finds_in_a_file_is_made_or_used_there() -> None:
    walk = read_page().partition("## A newcomer's walk")[2].partition("\n## ")[0]
    found = re.findall(r"`([\w/]+\.py)`?: `?(\w+)(?:\.(\w+))?`", walk)
    assert len(found) >= 5
    for file, *names in found:
        text = (ROOT / "harness" / file).read_text("utf-8")
        made = r"(?m)(?:^\s*(?:class|def) {0}\b|^\s*{0}(?:: | = )|\.{0}\b)"  # made, or an attribute that is used
        assert [name for name in names if name and not re.search(made.format(name), text)] == [], file


def read_page() -> str:
    return (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_table_names_every_folder_of_the_package_and_what_it_offers() -> None:
    table = read_page().partition("| folder or module |")[2].partition("\n\n")[0]
    named = set()
    for row in re.findall(r"(?m)^\| `harness/(.*?)` \|(.*)$", table):
        braced = re.fullmatch(r"\{(.*)\}(/|\.py)", row[0])
        names = braced[1].split(",") if braced else [row[0].removesuffix("/")]
        named |= {*names}
        offered = re.findall(r"`(\w+)`", row[1].rpartition(" | ")[2])
        text = "\n".join(path.read_text("utf-8") for name in names for path in (ROOT / "harness" / name).rglob("*.py"))
        assert [one for one in offered if not re.search(rf"\b(def|class) {one}\b", text)] == [], names
    own = {
        path.stem for path in (ROOT / "harness").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert named == own - {"__init__", "__main__"}


def test_the_layers_are_those_that_imports_are_checked_by() -> None:
    drawn = read_page().partition("Imports go downward only")[2].partition("```\n")[2].partition("```")[0]
    told = [[part.strip() for part in line.partition("   ")[0].split("|")] for line in drawn.splitlines()]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in settings if contract["type"] == "layers")
    assert told == [[part.strip() for part in layer.split("|")] for layer in layers if layer != "__main__"]


def test_the_glossary_is_in_the_order_of_the_alphabet_and_explains_a_word_once() -> None:
    glossary = read_page().partition("## Glossary")[2].partition("\n## ")[0]
    words = [word.lower() for word in re.findall(r"(?m)^- (\*\*[^:]*?):", glossary)]
    assert len(words) > 90
    assert words == sorted(set(words), key=lambda word: word.replace("*", ""))
