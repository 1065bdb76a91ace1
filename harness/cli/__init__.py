"""The command line: verbs, options, exit codes. The only package that prints or exits.

Data goes to stdout; progress, notes and errors to stderr. Exit codes: 0 done, whatever the verdict; 1 the program
failed; 2 wrong usage or an invalid hypothesis; 3 tampered evidence; 4 a recomputation differs; 5 evidence is
incomplete; 130 interrupted, 143 by SIGTERM, 129 by SIGHUP. One module per verb or group of verbs, in the order of
``--help``.
"""

import gc

gc.disable()  # looking for garbage among what is being imported would take a tenth of a short verb's time

# Importing a verb's module adds it to the program. This is the order of --help.
from harness.cli import run, plan, jobs, power, init, new, check, reference, look, compare, claims  # noqa: E402, F401, I001
from harness.cli import register, link, explore, reverdict, replicate, measure, anchor, export  # noqa: E402, F401
from harness.cli import site, view, badge, paper, audit, doctor, completion  # noqa: E402, F401
from harness.cli.app import VERBS, app, main  # noqa: E402
from harness.cli.options import Command  # noqa: E402

for verb in app.registered_commands:
    verb.cls = Command
VERBS += app.registered_commands

gc.freeze()  # all of it stays
gc.enable()

__all__ = ["main"]
