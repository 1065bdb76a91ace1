"""Programs that train and measure in harness's place: started, watched, ended, and their results read.

Nothing here decides whether a program may run, or what of it is pinned; that is the pipeline's and the ledger's.
"""

from harness.programs.adapted import BadResults
from harness.programs.archive import pack, unpack
from harness.programs.cards import find_cards
from harness.programs.jobs import clear, have_all, list_files, run_replicas, take_over
from harness.programs.linked import Accounted, account, adapt_results, list_commits, list_forms, list_seeds, read_export
from harness.programs.parse import Parsed, parse_results, read_replica
from harness.programs.process import has_command, show_command
from harness.programs.work import Work

__all__ = [
    "Accounted",
    "BadResults",
    "Parsed",
    "Work",
    "account",
    "adapt_results",
    "clear",
    "find_cards",
    "has_command",
    "have_all",
    "list_commits",
    "list_files",
    "list_forms",
    "list_seeds",
    "pack",
    "parse_results",
    "read_export",
    "read_replica",
    "run_replicas",
    "show_command",
    "take_over",
    "unpack",
]
