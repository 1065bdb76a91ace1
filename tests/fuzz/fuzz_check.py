"""Fuzz ``harness check``: random and hostile files are accepted or refused with findings, quickly, and nothing else.

    python -m tests.fuzz.fuzz_check --count 20000 --seed 1

Every accepted file is planned, judged on made-up numbers, and held against the JSON Schema. The first failure is
written to fuzz-failure.yaml and shown; it comes again with the seed and number that are printed.
"""

from __future__ import annotations

import argparse
import collections
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from harness.errors import InvalidHypothesis
from harness.records import Hypothesis
from harness.spec import load, make_schema, yaml
from tests.fuzz.later import go_on
from tests.fuzz.mutations import ROOT, hostile, mutated, originals

CALLS = 8_000_000
"""Calls of functions that the check of one file may take: a count, which no busy machine changes."""
MEBIBYTES = 200


class Fuzzer:
    """Checks files one by one in a folder with the repository's claims."""

    def __init__(self, folder: Path) -> None:
        import jsonschema

        self.folder = folder
        (folder / "claims.yaml").write_bytes((ROOT / "hypotheses/claims.yaml").read_bytes())
        self.schema = jsonschema.Draft202012Validator(make_schema(Hypothesis))
        self.costliest = (0, "")

    def check(self, data: bytes, name: str) -> tuple[InvalidHypothesis | None, object]:
        """The findings, or the loaded file. Anything else that is raised is a failure of the checker."""
        path = self.folder / "x.yaml"
        path.write_bytes(data)
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        refused = None
        sys.setprofile(count)
        try:
            return None, load(path)
        except InvalidHypothesis as error:
            refused = error
        finally:
            sys.setprofile(None)
            self.costliest = max(self.costliest, (calls, name))
        assert refused.findings
        for finding in refused.findings:
            assert finding.line >= 1
            assert finding.column >= 1
            assert "Input should" not in finding.message
        return refused, None

    def try_one(self, data: bytes, rng: random.Random, name: str) -> bool:
        """Whether the file was accepted, after the later stages took it too."""
        _, loaded = self.check(data, name)
        if loaded is None:
            return False
        root = yaml.read(data, "x.yaml").root
        assert root is not None
        found = next(self.schema.iter_errors(_lists(root.plain())), None)
        assert found is None, f"the JSON Schema refuses what check accepts: {found.json_path}: {found.message}"
        go_on(loaded, rng)
        return True


def _lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: _lists(child) for key, child in value.items()}
    return [_lists(child) for child in value] if isinstance(value, tuple) else value


def peak_mebibytes() -> float:
    """The process's largest memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(count: int, seed: int) -> int:
    """Run; the number of failures."""
    failures = 0
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        fuzzer = Fuzzer(Path(name))
        sources = originals()
        begun = time.perf_counter()
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")
            data = mutated(rng, sources)
            try:
                outcomes["accepted" if fuzzer.try_one(data, rng, f"file {number}") else "refused"] += 1
            except Exception:
                failures += 1
                outcomes["failed"] += 1
                if failures <= 5:
                    Path("fuzz-failure.yaml").write_bytes(data)
                    print(f"seed {seed}, file {number}:")
                    traceback.print_exc(limit=-4)
        seconds = time.perf_counter() - begun
    print(f"{count} files in {seconds:.0f} s: {dict(outcomes)}")
    calls, which = fuzzer.costliest
    print(f"costliest check: {calls:,} calls ({which}); peak memory {peak_mebibytes():.0f} MiB")
    return failures + (calls > CALLS)


def harm() -> int:
    """Check every hostile file; the number that was accepted, failed or cost too much."""
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        fuzzer = Fuzzer(Path(name))
        for what, data in hostile().items():
            fuzzer.costliest = (0, "")
            try:
                error, _ = fuzzer.check(data, what)
                said = (
                    "accepted" if error is None else f"{len(error.findings)} findings, {error.findings[0].message[:60]}"
                )
                failed = fuzzer.costliest[0] > CALLS
            except Exception:
                traceback.print_exc(limit=-3)
                said, failed = "FAILED", True
            failures += failed
            print(f"{fuzzer.costliest[0]:9,} calls  {what}: {said}")
        assert not Path("pwned").exists()
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hostile", action="store_true", help="only the hostile files")
    given = parser.parse_args()
    failures = harm() if given.hostile else fuzz(given.count, given.seed)
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
