"""Reading and checking of hypothesis files: ``load`` for one file, ``load_folder`` for many."""

from harness.spec.checks import CHECKS
from harness.spec.explain import Explanation, explain, list_names
from harness.spec.family_pages import make_pages
from harness.spec.files import (
    FolderReport,
    Loaded,
    Seen,
    load,
    load_claims,
    load_folder,
    make_error,
    make_warning,
    parse,
    parse_claims,
    parse_form,
    read_id,
)
from harness.spec.folders import CLAIMS, Listing, list_folder, read_bytes, report_unread
from harness.spec.forms import list_unknown_plugins
from harness.spec.new import Answers, copy_draft, write_draft
from harness.spec.new_program import write_program_draft
from harness.spec.registered import Known
from harness.spec.schema import make_schema, make_schemas

__all__ = [
    "CHECKS",
    "CLAIMS",
    "Answers",
    "Explanation",
    "FolderReport",
    "Known",
    "Listing",
    "Loaded",
    "Seen",
    "copy_draft",
    "explain",
    "list_folder",
    "list_names",
    "list_unknown_plugins",
    "load",
    "load_claims",
    "load_folder",
    "make_error",
    "make_pages",
    "make_schema",
    "make_schemas",
    "make_warning",
    "parse",
    "parse_claims",
    "parse_form",
    "read_bytes",
    "read_id",
    "report_unread",
    "write_draft",
    "write_program_draft",
]
