"""All stages in order: the only package that knows them all. ``running`` tells the whole story on one page."""

from harness.pipeline.families import Family, families
from harness.pipeline.foresight import Assumed, check, power
from harness.pipeline.judging import Recomputed, Sensitivity, reverdict, sensitivity
from harness.pipeline.looking import Outlook, Standing, outlook, read_verdict, standing
from harness.pipeline.project import Report, Reporter, Settings
from harness.pipeline.running import pilot, run

__all__ = [
    "Assumed",
    "Family",
    "Outlook",
    "Recomputed",
    "Report",
    "Reporter",
    "Sensitivity",
    "Settings",
    "Standing",
    "check",
    "families",
    "outlook",
    "pilot",
    "power",
    "read_verdict",
    "reverdict",
    "run",
    "sensitivity",
    "standing",
]
