"""Tests that sign, which ssh-keygen must do for whoever runs them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def _find_hindrance() -> str | None:
    if shutil.which("ssh-keygen") is None:
        return "needs ssh-keygen"
    said = subprocess.run(["ssh-keygen", "-l", "-f", os.devnull], capture_output=True, text=True).stderr
    return "ssh-keygen does nothing for a user without a passwd entry" if "No user exists" in said else None


_HINDRANCE = _find_hindrance()
needs_ssh_keygen = pytest.mark.skipif(_HINDRANCE is not None, reason=str(_HINDRANCE))
