"""Time ``harness check`` on 200 files in a temporary folder, five times.

    python benchmarks/check.py [--files 200]

The files are the three of hypotheses/ with other ids and learning rates, so that they are as long as real ones and no
two are the same.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HYPOTHESES = Path(__file__).parents[1] / "hypotheses"


def write_files(folder: Path, count: int) -> int:
    """Write ``count`` valid hypotheses and their claims; return the number of bytes."""
    originals = [path for path in sorted(HYPOTHESES.glob("*.yaml")) if path.name != "claims.yaml"]
    (folder / "claims.yaml").write_bytes((HYPOTHESES / "claims.yaml").read_bytes())
    for number in range(count):
        text = originals[number % len(originals)].read_text(encoding="utf-8")
        text = re.sub(r"^id: (.*)$", rf"id: \1-{number}", text, count=1, flags=re.MULTILINE)
        text = re.sub(r"\blr: 1\.0e-3", f"lr: {1.0e-3 * 1.2 ** (number // len(originals)):.3e}", text, count=1)
        (folder / f"h{number:03}.yaml").write_text(text, encoding="utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=200)
    count: int = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hypotheses"
        folder.mkdir()
        size = write_files(folder, count)
        seconds, own = [], []
        # As in an installation, Python keeps its bytecode, whatever this shell's environment says.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        command = [sys.executable, "-m", "harness.cli", "check", str(folder)]
        for _ in range(6):
            begun, before = time.perf_counter(), os.times()
            done = subprocess.run(command, env=environment, capture_output=True)
            after = os.times()
            seconds.append(time.perf_counter() - begun)
            own.append(after.children_user + after.children_system - before.children_user - before.children_system)
            assert done.returncode == 0, done.stdout.decode()
    each = ", ".join(f"{second:.2f}" for second in seconds[1:])  # the first one compiles
    print(
        f"{count} files, {size:,} bytes: {each} s; best {min(seconds[1:]):.2f} s, {min(own[1:]):.2f} s of a processor"
    )


if __name__ == "__main__":
    main()
