"""From a YAML file to a checked Hypothesis: ``load`` for one file, ``load_folder`` for many."""

from harness.spec.checks import CHECKS
from harness.spec.files import FolderReport, Loaded, id_of, load, load_folder, parse
from harness.spec.registered import Known

__all__ = ["CHECKS", "FolderReport", "Known", "Loaded", "id_of", "load", "load_folder", "parse"]
