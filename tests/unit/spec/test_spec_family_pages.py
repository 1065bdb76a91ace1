"""docs/plugins: written from the plug-ins, not drifted, and complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.plugins.registry import FAMILIES, OPERATIONAL, find_members
from harness.spec import explain, make_pages
from harness.spec.family_pages import escape
from harness.wording import capitalise

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs/plugins"
EVERY = (*FAMILIES, *OPERATIONAL)


def test_the_pages_are_what_the_plug_ins_say(tmp_path: Path) -> None:
    """If not: python -m harness explain --out docs/plugins && mdformat docs/plugins."""
    made = make_pages()
    assert set(made) == {path.name for path in PAGES.iterdir()} == {"index.md", *(f"{name}.md" for name in EVERY)}
    shutil.copy(ROOT / ".mdformat.toml", tmp_path)
    for name, text in made.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "mdformat", *(tmp_path / name for name in made)], check=True)
    for name in made:
        assert (PAGES / name).read_text("utf-8") == (tmp_path / name).read_text("utf-8"), name


@pytest.mark.parametrize("family", EVERY)
def test_a_page_has_every_plug_in_with_every_parameter_and_section(family: str) -> None:
    page = (PAGES / f"{family}.md").read_text("utf-8")
    assert f"docs/plugins/{family}.md" in (ROOT / "mkdocs.yml").read_text("utf-8")
    for name, kind in find_members(family).items():
        (_, rest) = page.split(f"\n## {name}\n")
        section = rest.split("\n## ")[0]
        (found,) = explain(f"{family}.{name}")
        assert all(f"\n**{label}.** " in section for label in ("Use", "Traps", "Source"))
        assert found.equation is None or f"```text\n{found.equation}\n```" in section
        for parameter in found.parameters:
            (row,) = (line for line in section.splitlines() if line.startswith(f"| `{parameter.name}` |"))
            assert parameter.unit in (None, "1") or f"| {parameter.unit} |" in row
            assert (" required " in row) == kind.model_fields[parameter.name].is_required()


def test_a_plug_in_is_explained_by_its_kind_and_name() -> None:
    for asked, kind in (
        ("rule.dfa", "rule"),
        ("dataset.mnist", "data set"),
        ("loss.bce", "loss"),
        ("criterion.t", "criterion"),
    ):
        (found,) = explain(asked)
        assert (found.kind, found.name) == (kind, asked.partition(".")[2])
        assert found.use and found.traps and found.source
        assert found.use not in found.text and capitalise(found.text) == found.text
    (found,) = explain("rule.dfa")
    assert found.equation == (
        "c_0 = e B_0,  c_{l+1} = e B_l,  ĉ = c/(rms(c) + 1e-6)\n"
        "minimise mean_n ⟨h_{l+1}, sg ĉ_{l+1}⟩ + λ·value(f_l) for each block, on sg h_l"
    )


def test_text_means_nothing_in_markdown_but_its_code() -> None:
    assert escape("a*b*  [c](d) | ``e*`` <f>\n`g|h`") == r"a\*b\* \[c\](d) \| `e*` \<f\> `g|h`"
