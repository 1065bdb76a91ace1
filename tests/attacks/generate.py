"""Write the corpus out: one folder per attack, each with the spoiled trail and the finding that it must produce.

python -m tests.attacks.generate FOLDER [GOOD-PROJECT]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from harness.ledger.audit import CODES
from tests.attacks import good
from tests.attacks.corpus import CORPUS
from tests.attacks.trails import Trail


def main(folder: Path, project: Path | None) -> None:
    with tempfile.TemporaryDirectory() as made:
        if project is None:
            project = Path(made) / "good"
            good.build(project)
        trail = Trail.read(project / "verdicts")
    for attack in CORPUS.values():
        spoiled = trail.copy()
        attack.spoil(spoiled)
        place = folder / attack.name
        spoiled.write(place / "verdicts")
        for path in spoiled.odd:
            (place / "verdicts" / path).symlink_to("/dev/null")
        options = ["--recompute"] * attack.recompute + ["--require-anchor"] * spoiled.require_anchor
        options += ["--known-head", spoiled.known_head] if spoiled.known_head else []
        expected = {
            "attack": (attack.spoil.__doc__ or attack.name).strip(),
            "audit": options,
            "finds": attack.finds,
            "step": CODES[attack.finds].step,
            "kind": CODES[attack.finds].severity,
        }
        (place / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{len(CORPUS)} spoiled trails in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
