"""Hooks of mkdocs.yml: the pages are the repository's own files, where they are, and the packages' docstrings.

Pages keep their paths in the repository, so that a link which works there works on the site, and the other way round.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PUBLISHED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "benchmarks", "docs", "hypotheses", "verdicts")
REFERENCE = """# Reference

harness is used from the command line, and from notebooks and scripts by [`harness.api`](api.md)
([tutorial](../docs/tutorial.md)); the other pages are for those who write a plug-in or change harness. They are built
from the docstrings.

## Plug-ins

What a hypothesis can name, with its parameters; another package adds to a family through the entry-point group
`harness.<family>` ([how](../CONTRIBUTING.md)).

{families}

## Stages and records

In which order they call one another: [architecture](../docs/architecture.md).

{packages}
"""


def families() -> tuple[str, ...]:
    """Return the families of plug-ins, as the registry names them; it is read and not imported."""
    for node in ast.parse((ROOT / "harness/plugins/registry.py").read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="FAMILIES")], value=named):
                return tuple(ast.literal_eval(named))
    raise LookupError("harness/plugins/registry.py names no FAMILIES")


FAMILIES = families()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give the reference its pages in the navigation: the families of plug-ins, then all other packages."""
    (reference,) = (entry["Reference"] for entry in config.nav or [] if "Reference" in entry)
    reference += [f"reference/{name}.md" for name in packages()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's files under their paths there, and a page of reference for each package."""
    for path in tracked():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
        if path.endswith(".ipynb"):
            files.append(
                File.generated(config, f"{path.removesuffix('.ipynb')}.md", content=read_notebook(ROOT / path))
            )
    for name in packages():
        files.append(File.generated(config, f"reference/{name}.md", content=reference(name)))
    plug_ins, others = (
        "\n".join(
            f"- [`harness.{name}`]({name}.md): {summary(name)}" for name in packages() if (name in FAMILIES) is one
        )
        for one in (True, False)
    )
    index = REFERENCE.format(families=plug_ins, packages=others)
    files.append(File.generated(config, "reference/index.md", content=index))
    return files


def tracked() -> Iterator[str]:
    """Yield the files of the repository that belong on the site; of the trail only its pages, figures and numbers."""
    listed = subprocess.run(["git", "ls-files", "-z", *PUBLISHED], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in filter(None, listed.stdout.split("\0")):
        if not path.startswith(("docs/site/", "verdicts/ledger/")) and (ROOT / path).is_file():
            yield path


def read_notebook(path: Path) -> str:
    """Return a notebook as a page: its texts, and its code without outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = ["".join(cell["source"]) for cell in cells]
    kinds = [cell["cell_type"] for cell in cells]
    pages = [part if kind == "markdown" else f"```python\n{part}\n```" for kind, part in zip(kinds, parts, strict=True)]
    return "\n\n".join([*pages, f"[This page as a notebook]({path.name})"]) + "\n"


def packages() -> list[str]:
    """Return the names of harness's packages: the families of plug-ins, then the others by the alphabet."""
    names = {path.parent.name for path in (ROOT / "harness").glob("[a-z]*/__init__.py")}
    return [name for name in FAMILIES if name in names] + sorted(names - set(FAMILIES))


def reference(package: str) -> str:
    """Return a package's page: what its modules define, each thing once, whatever the package hands on as its own."""
    blocks = [f"# harness.{package}"]
    for path in sorted((ROOT / "harness" / package).rglob("*.py"), key=lambda path: path.with_suffix("").as_posix()):
        parts = path.relative_to(ROOT).with_suffix("").parts
        defined = list(definitions(path))
        top = path.name == "__init__.py" and path.parent.name == package
        if not top and (not defined or any(part.startswith("_") for part in parts if part != "__init__")):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        options = {"members": defined, "show_root_heading": not top, "show_root_full_path": True}
        blocks.append(f"::: {module}\n    options: {json.dumps(options)}")
    return "\n\n".join(blocks) + "\n"


def definitions(path: Path) -> Iterator[str]:
    """Yield the public names that a module defines itself: classes, functions, and what has a text below it."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    for node, below in zip(nodes, [*nodes[1:], None], strict=True):
        match node, below:
            case ((ast.ClassDef(name=name) | ast.FunctionDef(name=name)), _):
                public = not name.startswith("_")
            case (
                (ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)])),
                ast.Expr(value=ast.Constant(value=str())),
            ):
                public = not name.startswith("_")
            case _:
                continue
        if public:
            yield name


def summary(package: str) -> str:
    """Return the first paragraph of a package's docstring."""
    tree = ast.parse((ROOT / "harness" / package / "__init__.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
