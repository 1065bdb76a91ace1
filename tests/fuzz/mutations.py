"""Random files: valid hypotheses with their structure or text changed, and files that are meant to do harm."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

from harness.spec import yaml

ROOT = Path(__file__).parents[2]
Place = tuple[str | int, ...]

NUMBERS = [0, 1, -1, 2, 3, 5, 10, 100, 10_000, 100_000, 2**31, 2**53 - 1, 0.5, 0.05, 1e-300, 1e300, -0.0, 5e-324]
TEXTS = ["", " ", "x", "no", "012", "a - b", "inconclusive", "invalid", "(-inf, inf)", "[0, 0]", "0x1F", "é", "e\u0301"]
TEXTS += ["*a", "&a", "!!python/object:os.system", "{{7*7}}", "../../x", "x" * 5_000, "\u202e", "\x00", "🙂", "a\nb: c"]
VALUES: list[Any] = [None, True, False, [], {}, [[]], [1, 2], {"name": "t"}, {"name": "dfa"}, *NUMBERS, *TEXTS]
CHARACTERS = "\t\n\r:-#[]{}&*!|>%@`'\",? \x00\x7f\u0085\u2028\ufeffé\u0301🙂\\0aA~<="


def originals() -> list[tuple[str, Any]]:
    """The text and content of every valid file in the repository."""
    folders = (ROOT / "hypotheses", ROOT / "tests/corpus/valid")
    files = [file for folder in folders for file in sorted(folder.glob("*.yaml")) if file.name != "claims.yaml"]
    found = []
    for file in files:
        root = yaml.read(file.read_bytes(), file.name).root
        assert root is not None
        found.append((file.read_text(encoding="utf-8"), json.loads(json.dumps(root.plain()))))
    return found


def places(value: Any, path: Place = ()) -> list[Place]:
    """Every place in plain data, the whole first."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def at(value: Any, path: Place) -> Any:
    for part in path:
        value = value[part]
    return value


def structural(content: Any, rng: random.Random) -> bytes:
    """One to four changes of the structure, written so that the strict reader takes it."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        everywhere = places(content)[1:]
        if not everywhere:
            break
        place = rng.choice(everywhere)
        _change(content, place, everywhere, rng)
    return json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")


def _change(content: Any, place: Place, everywhere: list[Place], rng: random.Random) -> None:
    parent, key = at(content, place[:-1]), place[-1]
    old = parent[key]
    kind = rng.randrange(10)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[_other_name(str(key), rng)] = parent.pop(key)
    elif kind == 2 and isinstance(parent, dict):
        parent[_other_name(str(key), rng)] = copy.deepcopy(old)
    elif kind == 3:
        parent[key] = copy.deepcopy(at(content, rng.choice(everywhere)))
    elif kind == 4 and isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(old))
    elif kind == 5 and isinstance(old, str):
        names = [part for other in everywhere for part in other if isinstance(part, str)]
        parent[key] = rng.choice(names)
    elif isinstance(old, int | float) and not isinstance(old, bool) and kind < 9:
        parent[key] = rng.choice([old + 1, old - 1, old * 10, old / 10, -old, 2 * old, old // 2, rng.choice(NUMBERS)])
    elif isinstance(old, str) and kind < 8:
        parent[key] = _edited(old, rng)
    elif isinstance(old, dict) and kind == 8:
        old["matrix"] = {
            rng.choice(["penalty.strength", "setup.epochs", "rule", "x.y"]): {"a": 1, "b": rng.choice(VALUES)}
        }
    else:
        parent[key] = copy.deepcopy(rng.choice(VALUES))


def _other_name(name: str, rng: random.Random) -> str:
    return rng.choice([name + "s", name[:-1], name[::-1], name.upper(), name + "_2", "setup", "matrix", "name", ""])


def _edited(text: str, rng: random.Random) -> str:
    """A character taken out, put in, or a digit or bracket changed, which moves the ends of bands."""
    if not text:
        return rng.choice(TEXTS)
    position = rng.randrange(len(text))
    swapped = {"[": "(", "(": "[", "]": ")", ")": "]", ",": ";", "-": ""}
    return rng.choice(
        [
            text[:position] + text[position + 1 :],
            text[:position] + rng.choice("0123456789-.,|()[]e ") + text[position:],
            text[:position] + swapped.get(text[position], "1") + text[position + 1 :],
        ]
    )


def textual(text: str, rng: random.Random) -> bytes:
    """Lines and characters moved about, as a slip of the hand or a bad merge does."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 5))):
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        kind = rng.randrange(7)
        if kind == 0:
            del lines[one]
            lines = lines or [""]
        elif kind == 1:
            lines.insert(one, lines[other])
        elif kind == 2:
            lines[one], lines[other] = lines[other], lines[one]
        elif kind == 3:
            lines[one] = rng.choice(["", " ", "  ", "\t", "- ", "# "]) + lines[one]
        elif kind == 4:
            lines[one] = lines[one].lstrip()
        else:
            position = rng.randrange(len(lines[one]) + 1)
            lines[one] = lines[one][:position] + rng.choice(CHARACTERS) + lines[one][position + rng.randrange(2) :]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def noise(text: str, rng: random.Random) -> bytes:
    """Random bytes, alone or spliced into a file."""
    data = text.encode()
    scrap = rng.randbytes(rng.randrange(1, 400))
    start = rng.randrange(len(data))
    return scrap if rng.random() < 0.3 else data[:start] + scrap + data[start + rng.randrange(40) :]


def mutated(rng: random.Random, sources: list[tuple[str, Any]]) -> bytes:
    """A random file: seven in ten with the structure changed, two with the text, one with bytes."""
    text, content = rng.choice(sources)
    chance = rng.random()
    if chance < 0.7:
        return structural(content, rng)
    return textual(text, rng) if chance < 0.9 else noise(text, rng)


def hostile() -> dict[str, bytes]:
    """Files that are meant to exhaust time or memory, or to run code."""
    deep = 100_000
    bomb = ["a0: &a0 [x]"]
    bomb += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 40)]
    lines = "\n".join
    whole = originals()[0][0]
    tags = ["!!python/object/apply:os.system ['touch pwned']", "!!python/object/new:os.system ['touch pwned']"]
    tags += [
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/object:os.system {}",
        "!!binary aGk=",
        "!!set {a}",
    ]
    tags += [
        "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch pwned']",
        "!!map {a: 1}",
        "!ruby/object:Gem {}",
    ]
    files = {f"tag {number}": f"id: {tag}\n".encode() for number, tag in enumerate(tags)}
    files |= {
        "alias bomb": lines(bomb).encode(),
        "alias of itself": b"a: &a [*a]",
        "merge bomb": lines(
            ["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 60))]
        ).encode(),
        "deep lists": b"[" * deep,
        "deep lists, a line each": b"[\n" * deep,
        "deep lists, closed": b"[" * deep + b"]" * deep,
        "deep mappings": b"{a: " * deep,
        "deep mappings, a line each": b"{a:\n" * deep,
        "deep block lists": b"- " * deep,
        "deep block mappings": lines([" " * level + "a:" for level in range(1_400)]).encode(),
        "deep complex keys": b"? " * deep,
        "deep complex keys, in brackets": b"[? " * deep,
        "50 MB": b"a: b\n" * 10_000_000,
        "50 MB in a line": b"x" * 50_000_000,
        "50 MB of nothing": b"\0" * 50_000_000,
        "50 MB of comments": b"# x\n" * 12_500_000,
        "a mebibyte of texts": b"- " + b"word " * 1_900 + b"\n" + (b"- " + b"word " * 1_900 + b"\n") * 108,
        "a mebibyte of comments": b"# x\n" * 262_000,
        "a mebibyte of keys": lines([f"k{number}: 1" for number in range(80_000)]).encode(),
        "a mebibyte of one value": b'a: "' + (b"x" * 9_000 + b"\n ") * 110 + b'"',
        "many anchors": lines([f"k{number}: &a{number} 1" for number in range(19_000 // 2)]).encode(),
        "many documents": b"--- a\n" * 100_000,
        "many directives": b"%YAML 1.2\n" * 50_000,
        "an endless quote": b'a: "' + b"x\n" * 300_000,
        "an endless plain text": b"a: b\n" + b" b\n" * 300_000,
        "combining marks": ("a: e" + "\u0301\u0316" * 4_000).encode(),
        "huge numbers": lines([f"- {'9' * 9_000}", f"- 1e{'9' * 9_000}", f"- 0.{'0' * 9_000}1"] * 30).encode(),
        "not UTF-8 at its end": b"a: b\n" * 200_000 + b"\xff",
        "UTF-16": whole.encode("utf-16"),
        "UTF-32": whole.encode("utf-32"),
        "surrogates": b"a: \xed\xa0\x80",
        "many unknown keys": (whole + lines([f"unknown_{number}: 1" for number in range(9_000)])).encode(),
        "many odd arms": (whole + "arms2: {" + ",\n".join(f"a{n}: {{lable: x}}" for n in range(4_000)) + "}").encode(),
        "a large matrix": _large_matrix(whole).encode(),
        "many bands": _many_bands(whole).encode(),
        "many arms in many estimands": _many_estimands("arm").encode(),
        "many wrong arms in many estimands": _many_estimands("amr").encode(),
        "many decomposed letters": ("- e\u0301\n" * 200_000).encode(),
    }
    return files


def _large_matrix(text: str) -> str:
    axis = lambda start: "{" + ", ".join(f"s{i}: {start + i}" for i in range(31)) + "}"  # noqa: E731
    matrix = (
        f"arms:\n  grid: {{label: G, rule: {{name: dfa}}, matrix: {{rule.clip: {axis(1)}, setup.epochs: {axis(1)}}}}}"
    )
    return text.replace("arms:", matrix, 1)


def _many_bands(text: str) -> str:
    bands = ", ".join(f'b{number}: "[{number}, {number + 1})"' for number in range(4_000))
    head, _, tail = text.partition("    bands:")
    return f"{head}    bands: {{{bands.replace(', b', ',' + chr(10) + '      b')}}}\n    odd:{tail}"


def _many_estimands(prefix: str) -> str:
    content = copy.deepcopy(originals()[0][1])
    arm = next(iter(content["arms"].values()))
    content["arms"] |= {f"arm_{number}": arm for number in range(600)}
    content["exploratory"] = {
        f"e{number}": {"metric": "test_accuracy", "contrast": f"{prefix}_{number} - {prefix}_{599 - number}"}
        for number in range(250)
    }
    return json.dumps(content, indent=0)
