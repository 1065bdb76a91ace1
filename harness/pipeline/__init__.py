"""All stages in order: the only package that knows them all. ``running`` tells the whole story on one page."""

from harness.pipeline.auditing import Asked, audit_trail
from harness.pipeline.checking import check
from harness.pipeline.claiming import Prospect, Table, claims_table, prospect
from harness.pipeline.doctor import doctor
from harness.pipeline.exporting import export_crate, export_statement
from harness.pipeline.families import Family, families
from harness.pipeline.foresight import Assumed, power
from harness.pipeline.judging import Recomputed, Sensitivity, reverdict, sensitivity
from harness.pipeline.looking import Outlook, Page, Standing, history, outlook, read_verdict, standings
from harness.pipeline.project import Report, Reporter, Settings
from harness.pipeline.registering import Entered, amend, close, register
from harness.pipeline.replicating import Replication, replicate
from harness.pipeline.running import pilot, run

__all__ = [
    "Asked",
    "Assumed",
    "Entered",
    "Family",
    "Outlook",
    "Page",
    "Prospect",
    "Recomputed",
    "Replication",
    "Report",
    "Reporter",
    "Sensitivity",
    "Settings",
    "Standing",
    "Table",
    "amend",
    "audit_trail",
    "check",
    "claims_table",
    "close",
    "doctor",
    "export_crate",
    "export_statement",
    "families",
    "history",
    "outlook",
    "pilot",
    "power",
    "prospect",
    "read_verdict",
    "register",
    "replicate",
    "reverdict",
    "run",
    "sensitivity",
    "standings",
]
