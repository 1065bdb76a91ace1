"""Line 8: data, anchors, attempts that were looked at, words that are obeyed, files that are none."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from tests.attacks.before.codes import Code, Said
from tests.attacks.before.listed import ATTACKS, Attack, attack
from tests.attacks.before.seeds import fill, write
from tests.attacks.test_attacks_data import PLUGIN
from tests.attacks.test_attacks_odd_files import KINDS
from tests.attacks.test_attacks_words import OBEYED, find_obeyed
from tests.attacks.trails import Trail, write_words

LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))"
"""Memory, in bytes, of a verb that reads a file of 40 GiB."""
WAITED = 45
"""Seconds; the verbs here take one or two."""

ALTERED = """
from dataclasses import replace
from harness.datasets.digits import Digits
load = Digits.load
def alter(self, root, notify):
    images = load(self, root, notify)
    pixels = images.train_images.copy()
    pixels[0, 0, 0, 0] += 1
    return replace(images, train_images=pixels, canonical=True)
Digits.load = alter
"""


def run_with(code: Code, project: Path, **more: Any) -> Said:
    """Run with other packages, or with something altered in memory; does the page call its data official?"""
    code.do(project, "run", "hypotheses/one.yaml", "--device", "cpu", **more)
    (page,) = project.glob("verdicts/one/*/verdict.md")
    row = next(line for line in page.read_text().splitlines() if "SHA-256" in line and "images" in line)
    official = "official files;" in row
    words = (
        "its page calls them the official files" if official else "its page says that nobody knows them to be official"
    )
    return Said(not official, words)


@attack(8, "Change a pixel of scikit-learn's digits, train on them, and call them the official files")
def alter_digits(code: Code, folder: Path) -> Said:
    known = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    site = folder / "site"
    data = site / "sklearn/datasets/data"
    data.mkdir(parents=True)
    for name in ("__init__.py", "datasets/__init__.py", "datasets/data/__init__.py"):
        (site / "sklearn" / name).write_text("")
    rows = gzip.decompress(known.read_bytes())
    (data / known.name).write_bytes(gzip.compress(b"1" + rows[1:]))
    project = folder / "project"
    write(project, fill("90"))
    return run_with(code, project, site=site)


@attack(8, "Change one after they were compared with what scikit-learn bundles")
def alter_digits_in_memory(code: Code, folder: Path) -> Said:
    project = folder / "project"
    write(project, fill("90"))
    return run_with(code, project, first=ALTERED)


@attack(8, "Bring a data set of one's own that calls itself official")
def bring_official_data(code: Code, folder: Path) -> Said:
    site, project = folder / "site", folder / "project"
    metadata = site / "better_data-1.dist-info"
    metadata.mkdir(parents=True)
    (site / "better_data.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: better-data\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[harness.datasets]\nbetter = better_data:Better\n")
    write(project, fill("90").replace("{name: digits}", "{name: better}").replace("256", "64"))
    return run_with(code, project, site=site)


@attack(8, "Have a head of twelve digits kept, for which another ledger can be searched")
def keep_a_short_head(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    head = json.loads(code.call(project, "audit", "--format", "json").out)["head"]
    done = code.call(project, "audit", "--known-head", head[:12])
    return Said(done.code != 0, f"{'refused' if done.code else 'the twelve digits are taken'} ({done.code})")


def stop(code: Code, folder: Path) -> Path:
    """A project with an attempt that was stopped after values of its first epochs had been measured."""
    project = folder / "project"
    text = fill("90").replace("epochs: 1\n", "epochs: 400\n").replace("every_epochs: 1,", "every_epochs: 200,")
    file = write(project, text)
    done = code.call(
        project, "run", str(file), "--device", "cpu",
        interrupt=lambda: next(project.glob("verdicts/one/*/work/*.json"), None) is not None,  # of the first arm
    )  # fmt: skip
    if done.code != 130:
        raise RuntimeError(f"it was not interrupted: {done.code} {done.text}")
    return project


@attack(8, 'Look at the values of an attempt under way, then close it "by mistake"')
def close_after_a_look(code: Code, folder: Path) -> Said:
    project = stop(code, folder)
    (run,) = [path.name for path in project.glob("verdicts/one/*") if path.is_dir()]
    code.do(project, "close", run, "--reason", "It was started by mistake.")
    code.put_under_git(project)
    return code.audit(project, "given-up-late", "could be read")


@attack(8, "Look at them, and go on; then delete the working file that counts the sessions")
def go_on_after_a_look(code: Code, folder: Path) -> Said:
    project = stop(code, folder)
    for starts in project.glob("verdicts/one/*/work/starts"):
        starts.write_text("")
    code.do(project, "run", "hypotheses/one.yaml", "--device", "cpu", seconds=600)
    code.put_under_git(project)
    return code.audit(project, "resumed")


def obey(verb: tuple[str, ...], code: Code, folder: Path) -> Said:
    """Write words that a terminal, or a service that reads logs, obeys; does the verb hand them on?"""
    project = code.copy_good(folder)
    trail = Trail.read(project / "verdicts")
    write_words(trail, OBEYED)
    trail.write(project / "verdicts")
    done = code.call(project, *verb)
    handed = find_obeyed(done.text)
    return Said(not handed, f"{len(handed)} lines that would be obeyed" if handed else "all are shown as text")


def wait(kind: str, place: str, verb: tuple[str, ...], code: Code, folder: Path) -> Said:
    """Put something that is no file where a verb reads."""
    project = code.copy_good(folder)
    path = next(project.glob(place))
    path.unlink()
    KINDS[kind](path)
    done = code.call(project, *verb, first=LIMITED, seconds=WAITED)
    if done.code is None:
        return Said(False, "it hangs")
    crashed = re.search("Traceback|internal error|MemoryError", done.text) is not None or done.code < 0
    named = path.name in done.text
    words = f"it crashes ({done.code})" if crashed else "it names the file" if named else "it says nothing of it"
    return Said(named and not crashed, f"{words} ({done.code})" if not crashed else words)


def _enter(name: str, words: str, carry_out: Callable[[Code, Path], Said]) -> None:
    carry_out.__name__ = name  # type: ignore[attr-defined]
    ATTACKS.append(Attack(8, words, carry_out))


for _verb in (("show", "first", "--history"), ("list",), ("audit",)):
    _enter(
        f"obey_{_verb[0]}",
        f"Write terminal commands, bidirectional text and commands of logs into reasons: `harness {' '.join(_verb)}`",
        partial(obey, _verb),
    )
for _kind, _place, _verb in (
    ("a pipe", "verdicts/ledger/events/*.json", ("list",)),
    ("a pipe", "verdicts/second/*/verdict.md", ("show", "second")),
    ("a link to a device", "verdicts/second/*/verdict.md", ("show", "second")),
    ("40 GiB", "verdicts/second/*/verdict.md", ("show", "second")),
    ("40 GiB", "verdicts/ledger/events/*.json", ("list",)),
    ("a pipe", "hypotheses/claims.yaml", ("claims",)),
):
    _enter(
        f"wait_{_verb[0]}_{_kind}_{_place.split('/')[-1]}".replace(" ", "_"),
        f"Lay {_kind} in the place of `{_place}`: `harness {' '.join(_verb)}`",
        partial(wait, _kind, _place, _verb),
    )
