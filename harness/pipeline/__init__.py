"""All stages in order: the only package that knows them all. ``running`` tells the whole story on one page."""

from harness.pipeline.claiming import Prospect, Table, banner_lines, claims_table, prospect
from harness.pipeline.judging import Recomputed, reverdict
from harness.pipeline.looking import Outlook, Standing, outlook, read_verdict, standing
from harness.pipeline.project import Report, Reporter, Settings
from harness.pipeline.registering import Entered, amend, close, register
from harness.pipeline.running import pilot, run

__all__ = [
    "Entered",
    "Outlook",
    "Prospect",
    "Recomputed",
    "Report",
    "Reporter",
    "Settings",
    "Standing",
    "Table",
    "amend",
    "banner_lines",
    "claims_table",
    "close",
    "outlook",
    "pilot",
    "prospect",
    "read_verdict",
    "register",
    "reverdict",
    "run",
    "standing",
]
