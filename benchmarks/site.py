"""Time the site of a large trail, and weigh it.

    python benchmarks/site.py [HYPOTHESES]

The trail is made as in ``audit.py``: events as harness writes them, and for every hypothesis a copy of the files of a
stored run of this repository, with all its replicas and curves. Nothing is trained. Files are counted without figures
too, because those are what the weight of a page follows from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import rfc8785
from audit import PER_HYPOTHESIS, REPOSITORY, build, run_files, varied

from harness.ledger import Ledger, name_run
from harness.site import build_site

FIGURE = re.compile(rb"<svg.*?</svg>", re.DOTALL)
MODEL = next(event.body["hypothesis"] for event in Ledger(REPOSITORY).events() if event.type == "registered")
"""Hypothesis that ``build`` registers again and again."""
(RUN, *_) = sorted(REPOSITORY.glob(f"{MODEL}/*"))


def copy_run(name: str, registration: str, run: str, seeds: tuple[int, ...], arms: list[str]) -> dict[str, bytes]:
    """Return the files of a stored run under the name of another, with its seeds."""
    page = run_files(name, registration, run, seeds, arms)["env.json"]
    results = json.loads((RUN / "results.json").read_bytes()) | {"hypothesis": name, "registration": registration}
    results["seeds"] = list(seeds)
    results["replicas"] = [one | {"seed": seeds[one["seed_index"]]} for one in results["replicas"]]
    copied = {file: (RUN / file).read_bytes() for file in ("verdict.json", "verdict.md", "figures/learning-curves.svg")}
    return {"env.json": page, "results.json": json.dumps(results).encode(), **copied}


def judge_again(trail: Ledger) -> None:
    """Enter another attempt at the first hypothesis, with its verdict."""
    before = trail.index().starts("hypothesis-0")[0]
    body = dict(before.event.body) | {"command": "harness run again.yaml"}
    run = trail.append("run_started", body)
    files = copy_run(before.hypothesis, body["registration"], name_run(run.digest), tuple(body["seeds"]), [])
    for file, data in files.items():
        path = trail.root / before.hypothesis / name_run(run.digest) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    digests = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    trail.append("run_finished", {"run": run.digest, "results": digests["results.json"]})
    trail.append("verdict", {"run": run.digest, "outcome": "partial", "files": digests})


def register_again(trail: Ledger, number: int) -> None:
    """Register the first hypothesis once more, with other settings than those before."""
    before, name = trail.index().fixing("hypothesis-0")[0].event.body, f"hypothesis-{number}"
    form = varied(json.loads(trail.read_object(before["canonical"])), number) | {"id": name}
    raw, canonical = trail.store_object(json.dumps(form, indent=1).encode()), trail.store_object(rfc8785.dumps(form))
    trail.append("registered", before | {"hypothesis": name, "raw": raw, "canonical": canonical})


def weigh(folder: Path) -> str:
    """Return what the files of a site weigh."""
    pages = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    plain = sum(len(FIGURE.sub(b"", data)) for data in pages.values())
    largest = max(map(len, pages.values()))
    return (
        f"{len(pages)} files, {sum(map(len, pages.values())) / 1e6:.2f} MB, {plain / 1e6:.2f} MB without figures, "
        f"the largest {largest / 1e3:.0f} kB, the index {len(pages['index.html']) / 1e3:.0f} kB"
    )


def measure(what: str, out: Path, trail: Path, hypotheses: Path) -> None:
    """Build a site and print how long it took."""
    begun, used = time.monotonic(), os.times()
    built = build_site(out, Ledger(trail), hypotheses)
    seconds, now = time.monotonic() - begun, os.times()
    own = now.user + now.system - used.user - used.system
    beside = now.children_user + now.children_system - used.children_user - used.children_system
    told = f"{seconds:.1f} s, on processors {own:.1f} s and, in processes beside, {beside:.1f} s"
    print(f"{what}: {told}; {len(built.written)} files written", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hypotheses", nargs="?", type=int, default=500)
    count = parser.parse_args().hypotheses
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        measure("this repository's trail", top / "own", REPOSITORY, REPOSITORY.parent / "hypotheses")
        print(weigh(top / "own"))
        (top / "hypotheses").mkdir()
        shutil.copy(REPOSITORY.parent / "hypotheses/claims.yaml", top / "hypotheses")
        build(top / "verdicts", count * PER_HYPOTHESIS, copy_run)
        measure(f"{count} hypotheses", top / "site", top / "verdicts", top / "hypotheses")
        print(weigh(top / "site"))
        measure("again, nothing changed", top / "site", top / "verdicts", top / "hypotheses")
        with (top / "hypotheses/claims.yaml").open("a") as stream:
            stream.write("  another: {statement: One more.}\n")
        measure("again, a claim more", top / "site", top / "verdicts", top / "hypotheses")
        judge_again(Ledger(top / "verdicts"))
        measure("again, a verdict more", top / "site", top / "verdicts", top / "hypotheses")
        register_again(Ledger(top / "verdicts"), count)
        measure("again, a registration more", top / "site", top / "verdicts", top / "hypotheses")


if __name__ == "__main__":
    main()
