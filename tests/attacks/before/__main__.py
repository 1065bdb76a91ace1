"""Carry out each attack on the code before and on the code here, and print a table: python -m tests.attacks.before

Every attack is a real one: a trail made by the version that is attacked, with its own processes, on the same machine
and with the same packages. ``--line N`` carries out those of one line, ``--now`` leaves the code before out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.attacks.before import ATTACKS
from tests.attacks.before.codes import COMMIT, PLAIN, Code, open_before, open_here
from tests.attacks.before.listed import LINES, Attack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--line", type=int, choices=LINES)
    parser.add_argument("--only", help="the name of one attack")
    parser.add_argument("--now", action="store_true", help="only the code here")
    given = parser.parse_args()
    os.environ.update({name: told for name, told in PLAIN.items() if name != "PYTHONSAFEPATH"})
    with tempfile.TemporaryDirectory() as work:
        codes = [open_here(Path(work))] if given.now else [open_before(Path(work)), open_here(Path(work))]
        heads = {"before": f"`{COMMIT[:7]}`", "now": "now"}
        print(f"| line | attack | {' | '.join(heads[code.name] for code in codes)} |", flush=True)
        print("| -- " * (2 + len(codes)) + "|", flush=True)
        for attack in sorted(ATTACKS, key=lambda attack: attack.line):
            if given.line in (None, attack.line) and given.only in (None, attack.name):
                print(describe(attack, codes, Path(work)), flush=True)


def describe(attack: Attack, codes: list[Code], work: Path) -> str:
    """Carry out an attack on each version, and return its line of the table."""
    told = []
    for code in codes:
        folder = work / code.name / "attacks" / attack.name
        folder.mkdir(parents=True)
        said = attack.carry_out(code, folder)
        told.append(f"{'found' if said.found else 'passes'}: {said.words}")
    return f"| {attack.line} | {attack.words} | {' | '.join(told)} |"


if __name__ == "__main__":
    main()
