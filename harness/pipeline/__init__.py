"""All stages in order: the only package that knows them all. ``running`` tells the whole story on one page.

A module is loaded when one of its names is asked for: ``harness check`` does not wait for what only training needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.pipeline.auditing import Asked, audit_trail, refuse_idle_rerun, restore
    from harness.pipeline.checking import check
    from harness.pipeline.claiming import Prospect, Table, claims_table, prospect
    from harness.pipeline.examining import doctor
    from harness.pipeline.exporting import export_crate, export_statement
    from harness.pipeline.foresight import Assumed, power
    from harness.pipeline.grouping import Family, families, families_of
    from harness.pipeline.judging import Recomputed, Sensitivity, reverdict, sensitivity
    from harness.pipeline.looking import Outlook, Page, history, outlook, read_verdict
    from harness.pipeline.places import Project, Settings, project_at, project_of
    from harness.pipeline.project import Report, Reporter, named_trail, trail_at
    from harness.pipeline.proving import other_judging_code
    from harness.pipeline.registering import Entered, amend, close, register
    from harness.pipeline.replicating import Replication, replicate
    from harness.pipeline.running import pilot, run
    from harness.pipeline.standing import Standing, Standings, standings
else:
    HOMES = {
        "auditing": ("Asked", "audit_trail", "refuse_idle_rerun", "restore"),
        "checking": ("check",),
        "claiming": ("Prospect", "Table", "claims_table", "prospect"),
        "examining": ("doctor",),
        "exporting": ("export_crate", "export_statement"),
        "foresight": ("Assumed", "power"),
        "grouping": ("Family", "families", "families_of"),
        "judging": ("Recomputed", "Sensitivity", "reverdict", "sensitivity"),
        "looking": ("Outlook", "Page", "history", "outlook", "read_verdict"),
        "places": ("Project", "Settings", "project_at", "project_of"),
        "project": ("Report", "Reporter", "named_trail", "trail_at"),
        "proving": ("other_judging_code",),
        "registering": ("Entered", "amend", "close", "register"),
        "replicating": ("Replication", "replicate"),
        "running": ("pilot", "run"),
        "standing": ("Standing", "Standings", "standings"),
    }

    def __getattr__(name: str) -> Any:
        for module, names in HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Asked",
    "Assumed",
    "Entered",
    "Family",
    "Outlook",
    "Page",
    "Project",
    "Prospect",
    "Recomputed",
    "Replication",
    "Report",
    "Reporter",
    "Sensitivity",
    "Settings",
    "Standing",
    "Standings",
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
    "families_of",
    "history",
    "named_trail",
    "other_judging_code",
    "outlook",
    "pilot",
    "power",
    "project_at",
    "project_of",
    "prospect",
    "read_verdict",
    "refuse_idle_rerun",
    "register",
    "replicate",
    "restore",
    "reverdict",
    "run",
    "sensitivity",
    "standings",
    "trail_at",
]
