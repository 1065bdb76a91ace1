"""Loading files and folders: merging and expanding, cross-file rules, claims, unreadable paths, start-up cost."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml

from harness.errors import InvalidHypothesis, UsageError
from harness.spec import Loaded, load, load_folder, parse

VALID = Path(__file__).parents[3] / "tests/corpus/valid"
TEXT = (VALID / "matrix.yaml").read_text(encoding="utf-8")


def write(folder: Path, name: str, *changes: tuple[str, str], text: str = TEXT) -> Path:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def messages(path: Path) -> list[str]:
    with pytest.raises(InvalidHypothesis) as refused:
        load(path)
    return [f"{Path(f.file).name}:{f.line}: {f.message}" for f in refused.value.findings]


def test_a_matrix_becomes_named_arms() -> None:
    arms = load(VALID / "matrix.yaml").hypothesis.arms
    assert list(arms) == [
        "vanilla",
        "penalized_weak_slow",
        "penalized_weak_fast",
        "penalized_strong_slow",
        "penalized_strong_fast",
    ]
    arm = arms["penalized_strong_fast"]
    assert arm.label == "Penalised (strong, fast)"
    assert arm.penalty is not None
    assert (arm.penalty.strength, arm.setup.optimizer.lr) == (0.01, 0.002)
    assert arms["penalized_weak_slow"].setup.epochs == 7


def test_an_arm_s_setup_overrides_key_by_key() -> None:
    hypothesis = load(VALID / "matrix.yaml").hypothesis
    own, common = hypothesis.arms["vanilla"].setup, hypothesis.setup
    assert own.model.model_dump() == {**common.model.model_dump(), "width": 8}
    assert own.optimizer == common.optimizer


def test_another_plug_in_does_not_inherit_parameters(tmp_path: Path) -> None:
    # Were the common parameters kept, digits would be given an augmentation that only the other data set asked for.
    path = write(
        tmp_path,
        "x.yaml",
        ("{name: digits}", "{name: cifar10, augment: [horizontal_flip]}"),
        ("setup: {model: {width: 8}}", "setup: {dataset: {name: digits}}"),
    )
    hypothesis = load(path).hypothesis
    assert hypothesis.setup.dataset.augment == ("horizontal_flip",)
    assert hypothesis.arms["vanilla"].setup.dataset.augment == ()


def test_colliding_and_huge_matrices_are_refused(tmp_path: Path) -> None:
    collision = "  vanilla_a: {label: A, rule: {name: dfa}}\n  vanilla: {matrix: {rule.clip: {a: 1, b: 2}}, label: V,"
    assert any(
        "a second arm named 'vanilla_a'" in m
        for m in messages(write(tmp_path, "a.yaml", ("  vanilla: {label: Vanilla,", collision)))
    )
    axis = "{" + ", ".join(f"s{i}: 1" for i in range(40)) + "}"
    huge = f"matrix: {{rule.clip: {axis}, setup.epochs: {axis}}},"
    found = messages(write(tmp_path, "b.yaml", ("  vanilla: {", "  vanilla: {" + huge)))
    assert any("this grid has 1,600 arms" in m for m in found)


def test_a_mistake_in_the_common_setup_is_reported_once(tmp_path: Path) -> None:
    assert messages(write(tmp_path, "x.yaml", ("lr: 0.001", "lr: -1"), ("batch_size: 64", "batchsize: 64"))) == [
        "x.yaml:7: missing key 'batch_size' in setup",
        "x.yaml:10: lr must be greater than 0, is -1",
        "x.yaml:12: unknown key 'batchsize', did you mean 'batch_size'?",
    ]


def test_claims_are_needed_only_if_named(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "x.yaml"))
    assert (loaded.claims.claims, loaded.claims_raw) == ({}, b"")
    path = write(tmp_path, "y.yaml", ("says: It helps.", "says: It helps., supports: [a-claim]"))
    assert messages(path) == ["y.yaml:29: claims are named, but there is no claims.yaml"]
    (tmp_path / "claims.yaml").write_text("claims:\n  a-claim: {statement: So it is.}\n")
    assert list(load(path).claims.claims) == ["a-claim"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "claims:\n  a: {statement: A., stands_on: [bb]}\n  b: {statement: B.}\n",
            "2: there is no claim 'bb', did you mean 'b'?",
        ),
        (
            "claims:\n  a: {statement: A., stands_on: [b]}\n  b: {statement: B., stands_on: [a]}\n",
            "2: these claims stand on one another: a → b → a",
        ),
        ("claims:\n  a: {statement: A., stands_on: [a]}\n", "2: these claims stand on one another: a → a"),
        ("claims:\n  a: {says: A.}\n", "2: unknown key 'says'"),
        ("claims:\n  A_1: {statement: A.}\n", "2: 'A_1' is not a valid name"),
        ("claim: {}\n", "1: unknown key 'claim', did you mean 'claims'?"),
        ("claims:\n  a: {statement: no}\n", "2: no: YAML 1.1 reads this word as true or false"),
        ("[]", "1: the file must be a mapping, such as {key: value}, is a list"),
    ],
)
def test_claims_are_checked(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "claims.yaml").write_text(text)
    assert f"claims.yaml:{expected}" in messages(write(tmp_path, "x.yaml"))
    report = load_folder([tmp_path])
    assert any(finding.message == expected[3:] for finding in report.findings)
    assert report.loaded == ()


@pytest.mark.parametrize(
    ("line", "wrong", "joined"),
    [("\n  vanilla:", "\n  Plain-arm:", "underscores"), ("\nid: ", "\nid: B_", "hyphens")],
)
def test_the_remedy_for_a_name_leads_to_a_valid_one(tmp_path: Path, line: str, wrong: str, joined: str) -> None:
    """Ids are joined by hyphens; names inside a file are not, so that "a - b" is a contrast."""
    with pytest.raises(InvalidHypothesis) as refused:
        load(write(tmp_path, "x.yaml", (line, wrong)))
    (found,) = [finding for finding in refused.value.findings if "not a valid name" in finding.message]
    assert found.remedy is not None and found.remedy.endswith(f"joined by {joined}")


def test_a_file_that_a_folder_s_check_leaves_out_is_named(tmp_path: Path) -> None:
    write(tmp_path, "x.yaml")
    write(tmp_path, "y.yml", ("id: ", "id: other-"))
    report = load_folder([tmp_path])
    assert [(Path(f.file).name, f.severity, f.remedy) for f in report.findings] == [
        ("y.yml", "warning", "rename it to y.yaml")
    ]
    assert len(report.loaded) == 1
    assert load_folder([tmp_path / "x.yaml", tmp_path / "y.yml"]).findings == ()


def test_a_chain_of_claims_may_be_longer_than_the_stack(tmp_path: Path) -> None:
    chain = [f"  c{i}: {{statement: S., stands_on: [c{i + 1}]}}" for i in range(1_500)]
    (tmp_path / "claims.yaml").write_text("claims:\n" + "\n".join(chain) + "\n  c1500: {statement: S.}\n")
    assert isinstance(load(write(tmp_path, "x.yaml")), Loaded)


def test_a_folder_reports_all_files_and_repeated_ids(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    write(tmp_path, "b.yaml")
    write(tmp_path, "c.yaml", ("id: matrix", "id: other"), ("epochs: 7", "epochs: 012"))
    write(tmp_path, "d.yaml", ("id: matrix", "id: third"))
    (tmp_path / "notes.txt").write_text("not read")
    report = load_folder([tmp_path, tmp_path / "a.yaml"])
    assert [(Path(f.file).name, f.line, f.message) for f in report.findings] == [
        ("b.yaml", 2, f"the id 'matrix' is also that of {tmp_path / 'a.yaml'}"),
        ("c.yaml", 11, "012: a leading zero makes this number octal to some YAML readers"),
    ]
    assert [loaded.hypothesis.id for loaded in report.loaded] == ["matrix", "third"]


def test_paths_that_hold_no_hypothesis(tmp_path: Path) -> None:
    write(tmp_path, "mode2_direction.yaml")
    with pytest.raises(UsageError, match=r"no such file .*directon\.yaml; did you mean .*mode2_direction\.yaml\?"):
        load(tmp_path / "mode2_directon.yaml")
    with pytest.raises(UsageError, match="no such file") as absent:
        load(tmp_path / "missing" / "x.yaml")
    assert absent.value.remedy == "check the path"
    with pytest.raises(UsageError, match="folder"):
        load(tmp_path)
    (tmp_path / "claims.yaml").write_text("claims: {}\n")
    with pytest.raises(UsageError, match="holds claims"):
        load(tmp_path / "claims.yaml")
    with pytest.raises(UsageError, match="no such file"):
        load_folder([tmp_path / "none.yaml"])
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UsageError, match="not a regular file"):
        load(tmp_path / "pipe.yaml")


def test_a_folder_that_is_not_there_or_holds_no_hypothesis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no folder hypotheses here") as absent:
        load_folder([Path("hypotheses")])
    assert absent.value.remedy == "go to the project's folder, name files, or write a first one: harness new"
    folder = tmp_path / "hypotheses"
    folder.mkdir()
    (folder / "claims.yaml").write_text("claims: {}\n")
    with pytest.raises(UsageError, match=r"no hypothesis files \(\*\.yaml\) in hypotheses"):
        load_folder([Path("hypotheses")])
    (folder / "x.yml").write_text(TEXT)
    with pytest.raises(UsageError, match=r"no hypothesis files") as misnamed:
        load_folder([Path("hypotheses")])
    assert misnamed.value.remedy == "rename x.yml to x.yaml"
    write(folder, "matrix.yaml")
    with pytest.raises(UsageError, match=r"did you mean hypotheses/matrix\.yaml"):
        load_folder([folder.relative_to(tmp_path) / "matrix"])
    (folder / "x.yml").unlink()
    assert load_folder([Path("hypotheses")]).findings == ()


@pytest.mark.parametrize("target", ["gone.yaml", "link.yaml"])
def test_a_link_that_leads_nowhere(tmp_path: Path, target: str) -> None:
    (tmp_path / "link.yaml").symlink_to(target)
    for call in (lambda: load(tmp_path / "link.yaml"), lambda: load_folder([tmp_path / "link.yaml"])):
        with pytest.raises(UsageError, match=f"this link is broken: {target} does not exist") as refused:
            call()
        assert "did you mean" not in str(refused.value)
    (finding,) = load_folder([tmp_path]).findings  # beside other files it stops none of them
    assert (finding.message, finding.severity) == (f"this link is broken: {target} does not exist", "error")


def test_what_cannot_be_read_stops_no_other_file(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml")
    write(tmp_path, "wrong.yaml", ("id: matrix", "id: wrong"), ("epochs: 7", "epochs: 012"))
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "memory.yaml").symlink_to("/proc/self/mem")  # opens, and cannot be read, whoever asks
    (tmp_path / "latin.yaml").write_bytes(b"id: caf\xe9\n")
    for paths in ([tmp_path], sorted(tmp_path.glob("*.yaml"))):
        report = load_folder(paths)
        assert [(Path(f.file).name, f.severity, f.message) for f in report.findings] == [
            ("circle.yaml", "error", "this link is broken: circle.yaml does not exist"),
            ("latin.yaml", "error", "not UTF-8: byte 0xE9"),
            ("memory.yaml", "error", "can't be read: Input/output error"),
            ("pipe.yaml", "error", "not a regular file"),
            ("wrong.yaml", "error", "012: a leading zero makes this number octal to some YAML readers"),
        ]
        assert [loaded.path.name for loaded in report.loaded] == ["good.yaml"]
    (tmp_path / "folder.yaml").mkdir()
    assert "this is a folder, not a hypothesis file" in [f.message for f in load_folder([tmp_path]).findings]


def test_claims_that_cannot_be_read_are_one_finding(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml")
    (tmp_path / "claims.yaml").symlink_to("/proc/self/mem")
    (finding,) = load_folder([tmp_path]).findings
    assert (Path(finding.file).name, finding.message) == ("claims.yaml", "can't be read: Input/output error")


@pytest.mark.parametrize(
    "name",
    [
        ".x.yaml", ".x.yaml.swp", "x.yaml~", "#x.yaml#", "x.yaml.bak", "x.yaml.orig", "x (copy).yaml", "x (1).yaml",
        "Copy of x.yaml", "x - Copy (2).yaml", "x (another copy).yml", ".DS_Store", ".ipynb_checkpoints",
    ],
)  # fmt: skip
def test_a_leftover_is_named_and_not_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, "y.yaml")
    if name == ".ipynb_checkpoints":
        write(tmp_path / name, "y-checkpoint.yaml")
    else:
        (tmp_path / name).write_text("not: [read")
    report = load_folder([tmp_path])
    assert [(Path(f.file).name, f.severity, f.message[:13]) for f in report.findings] == [
        (name, "note", "not checked: ")
    ]
    assert [loaded.path.name for loaded in report.loaded] == ["y.yaml"]


def test_an_editor_s_lock_is_a_link_that_leads_nowhere_and_no_file(tmp_path: Path) -> None:
    write(tmp_path, "x.yaml")
    (tmp_path / ".#x.yaml").symlink_to("somebody@host.1234:5678")
    (tmp_path / ".gitignore").write_text("*~")
    (finding,) = load_folder([tmp_path]).findings
    assert (Path(finding.file).name, finding.severity) == (".#x.yaml", "note")


def test_a_file_below_the_folder_is_named_unless_its_folder_is_asked_for_too(tmp_path: Path) -> None:
    write(tmp_path, "x.yaml")
    write(tmp_path / "old" / "deep", "y.yaml", ("id: matrix", "id: other"))
    write(tmp_path / "old" / "deep", "z.yml", ("id: matrix", "id: other"))
    report = load_folder([tmp_path])
    assert [(Path(f.file).name, f.severity) for f in report.findings] == [("y.yaml", "warning"), ("z.yml", "warning")]
    assert all("neither checked nor listed" in finding.message for finding in report.findings)
    both = load_folder([tmp_path, tmp_path / "old" / "deep"])
    assert [Path(f.file).name for f in both.findings] == ["z.yml"]
    assert len(both.loaded) == 2


def test_the_second_file_of_an_id_is_seen_with_the_first(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml")
    write(tmp_path, "b.yaml")
    (tmp_path / "c.yaml").write_text("id: third\nnot: [yaml")
    seen = {one.path.name: (one.id, one.twin and one.twin.name) for one in load_folder([tmp_path]).seen}
    assert seen == {"a.yaml": ("matrix", None), "b.yaml": ("matrix", "a.yaml"), "c.yaml": ("third", None)}


def test_a_placeholder_is_refused_in_a_file_and_not_in_what_is_registered(tmp_path: Path) -> None:
    path = write(tmp_path, "x.yaml", (TEXT.splitlines()[3], "question: <what you ask>"))
    (finding,) = load_folder([path]).findings
    assert (finding.message, finding.rule) == ("question is still a placeholder", "placeholder")
    assert parse(path.read_bytes(), b"", "x").hypothesis.question == "<what you ask>"


def test_a_finding_quotes_a_long_line_around_its_place(tmp_path: Path) -> None:
    for before in (10, 2_000, 4_900):
        odd = f"question: {'q' * before}\x07{'r' * (5_000 - before)}"
        with pytest.raises(InvalidHypothesis) as refused:
            load(write(tmp_path, "x.yaml", (TEXT.splitlines()[3], odd)))
        (finding,) = refused.value.findings
        quoted, caret = str(finding).splitlines()[1:3]
        assert (finding.column, len(finding.source or "")) == (before + 11, 5_011)
        assert len(quoted.strip()) <= 162 and "…" in quoted
        assert quoted[caret.index("^")] == "\ufffd"


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_is_no_plural(tmp_path: Path, seeds: int) -> None:
    text = (VALID.parent / "invalid/guard_too_few.yaml").read_text(encoding="utf-8")
    (tmp_path / "claims.yaml").write_bytes((VALID / "claims.yaml").read_bytes())
    found = messages(write(tmp_path, "x.yaml", ("{count: 4}", f"{{count: {seeds}}}"), text=text))
    assert any(f" {seeds} seed{'s' if seeds > 1 else ''} can't verify" in message for message in found)
    assert all("1 seeds" not in message for message in found)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = write(tmp_path, "x.yaml")
    path.chmod(0)
    with pytest.raises(UsageError, match="can't be read"):
        load(path)


def test_checking_loads_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, pathlib, harness.spec as s;"
        f"s.load(pathlib.Path({str(VALID / 'mode2_direction.yaml')!r}));"
        "print([m for m in ('torch', 'scipy', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from leaves(child, (*path, key))


def test_no_single_change_of_a_value_breaks_the_checker(tmp_path: Path) -> None:
    # Whatever one replaces, the answer is a hypothesis or findings with places, never another exception.
    base = pyyaml.safe_load((VALID / "several.yaml").read_text(encoding="utf-8"))
    odd = itertools.cycle([None, -1, "odd", [], {}, [[1]], {"name": "odd"}, True, 1.5])
    path = tmp_path / "x.yaml"
    refused: list[InvalidHypothesis] = []
    for place in list(leaves(base)):
        copy = pyyaml.safe_load(pyyaml.safe_dump(base))
        node = copy
        for part in place[:-1]:
            node = node[part]
        node[place[-1]] = next(odd)
        path.write_text(pyyaml.safe_dump(copy, sort_keys=False), encoding="utf-8")
        try:
            load(path)
        except InvalidHypothesis as error:
            refused.append(error)
    assert len(refused) > 50
    for error in refused:
        assert error.findings
        assert all(finding.line >= 1 and "Input should" not in finding.message for finding in error.findings)


def test_an_entry_stands_for_one_per_cell_of_its_grid() -> None:
    hypothesis = load(VALID / "for_each.yaml").hypothesis
    assert list(hypothesis.estimands) == ["gain_weak", "gain_strong", "scale_1", "scale_2"]
    contrast = {"penalized_strong_slow": 0.5, "penalized_strong_fast": 0.5, "vanilla": -1.0}
    assert hypothesis.estimands["gain_strong"].contrast == contrast
    assert [hypothesis.estimands[f"scale_{layer}"].layer for layer in (1, 2)] == [1, 2]  # numbers, not texts
    assert hypothesis.guards["bounded_2"].otherwise == "The stream grew at layer 2."
    assert hypothesis.combine is not None
    assert hypothesis.combine.holds == {"gain_weak": ("helps",), "gain_strong": ("helps",)}
    cells = [f"cell_{strength}_{lr}" for strength in ("weak", "strong") for lr in ("slow", "fast")]
    assert list(hypothesis.exploratory) == cells
    assert [hypothesis.exploratory[cell].arm for cell in cells] == [cell.replace("cell", "penalized") for cell in cells]


def test_an_entry_for_each_means_what_its_copies_mean(tmp_path: Path) -> None:
    """Entries that are written out have the same canonical form, so that nobody need read the short one."""
    text = (VALID / "for_each.yaml").read_text(encoding="utf-8")
    start, end = text.index("  scale:\n"), text.index("guards:\n")
    one = "metric: hidden_norm, arm: penalized_strong_slow, samples: median, seeds: median"
    copies = "".join(f"  scale_{n}: {{{one}, layer: {n}}}\n" for n in (1, 2))
    (tmp_path / "x.yaml").write_text(text[:start] + copies + text[end:], encoding="utf-8")
    assert load(tmp_path / "x.yaml").hypothesis == load(VALID / "for_each.yaml").hypothesis
