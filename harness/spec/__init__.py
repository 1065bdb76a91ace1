"""From a YAML file to a checked Hypothesis: ``load`` for one file, ``load_folder`` for many."""

from harness.spec.files import FolderReport, Loaded, load, load_claims, load_folder, parse, parse_claims, warning

__all__ = ["FolderReport", "Loaded", "load", "load_claims", "load_folder", "parse", "parse_claims", "warning"]
