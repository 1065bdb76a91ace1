"""All stages in order: the only package that knows them all. ``running`` tells the whole story on one page."""

from harness.pipeline.checking import check
from harness.pipeline.doctor import doctor
from harness.pipeline.judging import Recomputed, reverdict
from harness.pipeline.looking import Outlook, Standing, outlook, read_verdict, standing
from harness.pipeline.project import Report, Reporter, Settings
from harness.pipeline.running import pilot, run

__all__ = [
    "Outlook",
    "Recomputed",
    "Report",
    "Reporter",
    "Settings",
    "Standing",
    "check",
    "doctor",
    "outlook",
    "pilot",
    "read_verdict",
    "reverdict",
    "run",
    "standing",
]
