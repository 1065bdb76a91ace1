"""Reading and checking of hypothesis files: ``load`` for one file, ``load_folder`` for many."""

from harness.spec.checks import CHECKS
from harness.spec.explain import Explanation, explain, names
from harness.spec.files import (
    FolderReport,
    Loaded,
    Seen,
    id_of,
    load,
    load_claims,
    load_folder,
    parse,
    parse_claims,
    warning,
)
from harness.spec.folders import Listing, listing, read_bytes, unread
from harness.spec.new import Answers, copied, draft
from harness.spec.registered import Known
from harness.spec.schema import json_schema, schemas

__all__ = [
    "CHECKS",
    "Answers",
    "Explanation",
    "FolderReport",
    "Known",
    "Listing",
    "Loaded",
    "Seen",
    "copied",
    "draft",
    "explain",
    "id_of",
    "json_schema",
    "listing",
    "load",
    "load_claims",
    "load_folder",
    "names",
    "parse",
    "parse_claims",
    "read_bytes",
    "schemas",
    "unread",
    "warning",
]
