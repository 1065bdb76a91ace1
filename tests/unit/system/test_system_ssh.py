"""ssh-keygen, asked by whoever may not use it: what it refuses is told apart from a signature that is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.system import ssh
from tests.ssh import needs_ssh_keygen

AS_NOBODY = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "--inh-caps=+dac_read_search"]
AS_NOBODY += ["--ambient-caps=+dac_read_search"]  # to read Python where it lies below root's home, and nothing else
ASK = """\
from harness.errors import UsageError
from harness.system.ssh import keygen
try:
    keygen("-l", "-f", "/dev/null", where="--sign")
except UsageError as error:
    print(error.message, error.remedy, sep="\\n")
"""


@needs_ssh_keygen
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_a_user_without_an_entry_learns_that_it_is_not_the_key() -> None:
    root = Path(ssh.__file__).parents[2]
    asked = subprocess.run([*AS_NOBODY, sys.executable, "-c", ASK], capture_output=True, text=True, cwd=root)
    assert asked.stdout.splitlines() == [
        "ssh-keygen does nothing for a user that this system has no entry for (uid 4242)",
        "run as a user that `getent passwd` lists",
    ], asked.stderr
