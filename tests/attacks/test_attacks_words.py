"""Words that somebody wrote into a trail to be obeyed: every verb shows them as text, on every line and page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.corpus import only
from tests.attacks.trails import LOADED, Trail, sha, write_words

OBEYED = (
    "\x1b[2J\x1b]0;owned\x07 \x9b1m \u202egnihton\u2066 \u200b\r"
    "::error::forged\n::error file=x::forged\n ##[error]forged"
)
"""What a terminal, a reader of bidirectional text and two services of continuous integration obey."""
PAGE = "# A page\n\n::error::forged\n\n" + OBEYED + "\n"
VERBS = (
    ["list"], ["list", "--format", "json"], ["show", "second"], ["show", "second", "--format", "json"],
    ["show", "first", "--history"], ["show", "first", "--history", "--format", "json"], ["claims"],
    ["claims", "--format", "json"], ["claims", "--format", "mermaid"], ["claims", "--format", "dot"], ["check"],
    ["check", "--format", "json"], ["check", "--format", "github"], ["reverdict", "second"],
    ["close", "0123", "--reason", "x"],
    ["show", OBEYED], ["audit"], ["audit", "--format", "json"], ["audit", "--format", "github"],
)  # fmt: skip
HISTORY = VERBS.index(["show", "first", "--history", "--format", "json"])
EVERY_VERB = (
    LOADED
    + """
import json, os, sys
from harness.cli import main

for number, verb in enumerate(json.load(sys.stdin)):
    if (child := os.fork()) == 0:
        for stream, name in enumerate(("out", "err"), 1):
            os.dup2(os.open(f"{sys.argv[1]}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = ["harness", *verb]
        main()
    os.waitpid(child, 0)
"""
)


def spoil(trail: Trail, project: Path) -> None:
    """Write them wherever a trail and the files beside it have words."""
    write_words(trail, OBEYED)
    trail.append(OBEYED, {"anything": OBEYED, "hypothesis": "first"})
    verdict, event = trail.find("verdict", "second")
    trail.files[f"{trail.folder(event['body']['run'])}/verdict.md"] = PAGE.encode()
    trail.rebuild(only(verdict, lambda body: body["files"].update({"verdict.md": sha(PAGE.encode())})))
    third = (project / "hypotheses" / "second.yaml").read_text()
    third = third.replace("id: second", "id: third").replace("title: Second", f"title: {json.dumps(OBEYED)}")
    (project / "hypotheses" / "third.yaml").write_text(third)
    claims = f"claims:\n  it-helps: {{statement: {json.dumps(OBEYED)}}}\n"
    (project / "hypotheses" / "claims.yaml").write_text(claims)


def find_obeyed(output: str) -> list[str]:
    """The lines that somebody would obey: harness's own annotations name a file first."""
    found = [line for line in output.split("\n") if not line.replace("\t", "").isprintable()]
    lines = output.splitlines()  # at every sign that somebody takes for the end of a line
    own = ("::notice file=", "::error file=")
    found += [line for line in lines if line.lstrip().startswith("::") and not line.startswith(own)]
    return found + [line for line in lines if "##[" in line or line.startswith("::error file=x::")]


def test_no_verb_hands_on_what_would_be_obeyed(good_trail: Trail, project: Path, tmp_path: Path) -> None:
    trail = good_trail.copy()
    spoil(trail, project)
    trail.write(tmp_path / "spoilt")
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    environment |= {"HARNESS_VERDICTS": str(tmp_path / "spoilt")}
    command = [sys.executable, "-c", EVERY_VERB, str(tmp_path)]
    subprocess.run(command, input=json.dumps(VERBS), text=True, env=environment, cwd=project, check=True)
    for number, verb in enumerate(VERBS):
        printed, said = ((tmp_path / f"{number}.{name}").read_bytes().decode() for name in ("out", "err"))
        assert printed + said and "Traceback" not in said and "internal error" not in said, said
        assert not find_obeyed(printed + said), (verb, find_obeyed(printed + said))
    history = json.loads((tmp_path / f"{HISTORY}.out").read_text())
    assert any(OBEYED in moment["text"] for moment in history)  # JSON loses nothing


@pytest.mark.parametrize("words", ["\x1b[2J", "\u202e", "\x9b1m", "\r", "\u200b"])
def test_what_is_unseen_is_written_as_an_escape(words: str) -> None:
    from harness.wording import make_plain

    assert make_plain(words).isprintable() and make_plain(words) != words
