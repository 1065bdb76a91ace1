"""LaTeX as a reader has it: compiled, with what the compiler complained of, and the pages as text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple


class Compiled(NamedTuple):
    """A compiled document."""

    pages: int
    problems: list[str]
    """Errors, overfull lines wider than a point, and what a font lacks."""
    text: str


def compile_tex(folder: Path, work: Path, name: str = "paper.tex") -> Compiled:
    """Compile a document twice, as references need it, in a copy of its folder at ``work``."""
    shutil.copytree(folder, work)
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", name],
            cwd=work, capture_output=True, check=False, timeout=240,
        )  # fmt: skip
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-3000:]
    problems = re.findall(r"^! .*|^LaTeX Warning: Reference.*|^Missing character.*", log, re.MULTILINE)
    wide = re.findall(r"^Overfull \\[hv]box \((\d+\.\d+)pt.*", log, re.MULTILINE)
    problems += [f"overfull by {width} pt" for width in wide if float(width) > 1]
    pdf = work / Path(name).with_suffix(".pdf").name
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, check=True).stdout.decode()
    pages = re.search(r"Output written on .*\((\d+) page", log)
    assert pages is not None, log[-3000:]
    return Compiled(int(pages[1]), problems, text)
