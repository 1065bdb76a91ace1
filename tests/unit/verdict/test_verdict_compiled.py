"""The packaged template's code, kept beside Python's own: never another page, never other people's code."""

from __future__ import annotations

import hashlib
import marshal
import re
import shutil
import sys
from pathlib import Path

import pytest
from jinja2 import Environment
from jinja2.defaults import DEFAULT_FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness import wording
from harness.site import rendering
from harness.verdict import Form, compiled, default_templates, page, render, text
from tests.unit.verdict import verdict_samples as samples

NAME = "verdict.md.j2"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where Python would keep what it compiles: a folder of the test's own."""
    kept = tmp_path / "kept"
    monkeypatch.setattr(sys, "pycache_prefix", str(kept))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    page._environment.cache_clear()
    yield kept
    page._environment.cache_clear()


def rendered(templates: Path | None = None) -> bytes:
    """The page of a verdict, in a process that has not made one yet."""
    page._environment.cache_clear()
    return render(*samples.decided(), Form(templates, figures=False))["verdict.md"]


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.code"))


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("compiled")


def test_a_template_is_compiled_once(folder, monkeypatch):
    first = rendered()
    assert len(kept_in(folder)) == 1
    monkeypatch.setattr(ImmutableSandboxedEnvironment, "compile", refuse)
    assert rendered() == first
    kept_in(folder)[0].unlink()
    with pytest.raises(AssertionError, match="compiled"):
        rendered()


def test_a_damaged_or_foreign_file_is_compiled_again_and_its_code_is_not_run(folder, tmp_path):
    first = rendered()
    (path,) = kept_in(folder)
    whole = path.read_bytes()
    mark = tmp_path / "mark"
    foreign = marshal.dumps(compile(f"open({str(mark)!r}, 'w')", "<foreign>", "exec"))
    other = hashlib.sha256(b"another text" + foreign).digest()
    for damaged in (b"", whole[:10], whole[:-1], whole[:-1] + b"\0", bytes(32) + foreign, other + foreign, b"\0" * 999):
        path.write_bytes(damaged)
        assert rendered() == first
        assert path.read_bytes() == whole  # mended
    assert not mark.exists()


def test_code_of_another_jinja_is_not_used(folder, monkeypatch):
    first = rendered()
    (path,) = kept_in(folder)
    whole = path.read_bytes()
    monkeypatch.setattr(compiled, "version", lambda _: "9.9")
    assert rendered() == first
    assert path.read_bytes()[:32] != whole[:32]


@pytest.mark.parametrize("module", [page, text, wording])
def test_code_of_another_environment_is_not_used(folder, tmp_path, monkeypatch, module):
    rendered()
    source = (default_templates() / NAME).read_text()
    environment = page._environment(page._texts(default_templates()), False)
    assert (
        compiled.TemplateBytecodeCache(page.compiled_from()).get_bucket(environment, NAME, None, source).code
        is not None
    )
    changed = tmp_path / "changed.py"
    changed.write_text(Path(module.__file__).read_text() + "\n# changed\n")
    monkeypatch.setattr(module, "__file__", str(changed))
    assert compiled.TemplateBytecodeCache(page.compiled_from()).get_bucket(environment, NAME, None, source).code is None


def test_what_is_filtered_when_compiling_comes_from_nowhere_else():
    """``{{ "verdict.json" | code }}`` is in the code as it will be printed."""
    assert {function.__module__ for function in text.FILTERS.values()} == {text.__name__}
    for module, allowed in ((text, ["from harness import wording"]), (wording, [])):
        source = Path(module.__file__).read_text()
        assert re.findall(r"^ *(?:from|import) harness.*$", source, re.MULTILINE) == allowed
    folded = page._environment((), False).compile('{{ "a|b" | code }}{{ "a_b" }}', raw=True)
    assert "`a|b`" in folded and "a\\\\_b" in folded


def test_where_nothing_can_be_written_a_page_is_made_all_the_same(folder, monkeypatch):
    folder.write_bytes(b"a file where a folder should be")
    first = rendered()
    folder.unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered() == first
    assert not folder.exists()


def test_templates_that_a_trail_holds_are_never_kept(folder, tmp_path):
    own = shutil.copytree(default_templates(), tmp_path / "own")
    rendered(own)
    assert len(kept_in(folder)) == 1  # the same text as the packaged one, so it is that one
    shutil.rmtree(folder)
    (own / NAME).write_text((own / NAME).read_text() + "\nTheirs.\n")
    assert rendered(own).endswith(b"Theirs.\n")
    (own / NAME).write_text((default_templates() / NAME).read_text())
    (own / "more.md.j2").write_text("more")
    rendered(own)
    assert kept_in(folder) == []


def test_templates_of_the_site_are_compiled_once_too(folder, monkeypatch):
    """And again where what writes their constants is another: modules that import nothing else which could."""

    def load(name: str) -> None:
        rendering._load_environment.cache_clear()
        rendering._load_environment().get_template(name)

    names = sorted(path.name for path in rendering.find_folder().glob("*.html"))
    for name in names:
        load(name)
    assert len(kept_in(folder)) == len(names) > 5
    with monkeypatch.context() as warned:
        warned.setattr(Environment, "compile", refuse)
        for name in names:
            load(name)
        for module in (rendering, wording):
            changed = folder / "changed.py"
            changed.write_text(Path(module.__file__).read_text() + "\n# changed\n")
            with warned.context() as other:
                other.setattr(module, "__file__", str(changed))
                with pytest.raises(AssertionError, match="compiled"):
                    load(names[0])
    filters = rendering._load_environment().filters
    own = {filters[name].__module__ for name in filters.keys() - DEFAULT_FILTERS.keys()}
    assert own == {rendering.__name__, wording.__name__}
    rendering._load_environment.cache_clear()
