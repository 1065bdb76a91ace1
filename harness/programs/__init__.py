"""Programs that train and measure in harness's place: started, watched, ended, and their results read.

Nothing here decides whether a program may run, or what of it is pinned; that is the pipeline's and the ledger's.
"""

from harness.programs.adapted import BadResults
from harness.programs.cards import find_cards
from harness.programs.jobs import list_files, run_replicas
from harness.programs.linked import Accounted, account, adapt_results, list_commits, list_forms, read_export
from harness.programs.parse import Parsed, parse_results, read_replica
from harness.programs.process import show_command
from harness.programs.work import Work

__all__ = [
    "Accounted",
    "BadResults",
    "Parsed",
    "Work",
    "account",
    "adapt_results",
    "find_cards",
    "list_commits",
    "list_files",
    "list_forms",
    "parse_results",
    "read_export",
    "read_replica",
    "run_replicas",
    "show_command",
]
