"""The audit of a trail's promises: numbered steps over what lies in the folder and in git's history.

Every finding is listed and none ends the audit. A trail that somebody else wrote is read as hostile: links are not
followed, sizes are limited, and only what the ledger names by its digest is parsed.
"""

from harness.ledger.audit.anchors import TrustedInputs
from harness.ledger.audit.attempts import Meaning
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.files import TrailFiles
from harness.ledger.audit.findings import CODES, EXIT, AuditFinding
from harness.ledger.audit.report import UNDETECTABLE, AuditReport, Line, Subject
from harness.ledger.audit.steps import Step, audit, list_ledger_steps

__all__ = [
    "CODES",
    "EXIT",
    "UNDETECTABLE",
    "AuditFinding",
    "AuditReport",
    "Evidence",
    "Line",
    "Meaning",
    "Step",
    "Subject",
    "TrailFiles",
    "TrustedInputs",
    "audit",
    "list_ledger_steps",
]
