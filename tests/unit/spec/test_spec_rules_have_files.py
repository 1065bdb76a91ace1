"""Every rule of the file's form has a file in the corpus that breaks it, and every check a file that it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.spec import CHECKS, load_folder

CORPUS = Path(__file__).parents[3] / "tests/corpus"

# What the design asks of a file → files that break it. The names are those of tests/corpus/invalid, or folder/name.
RULES = {
    "unknown keys are errors with a suggestion": ["unknown_key", "unknown_top_key", "unknown_in_setup"],
    "duplicate keys are errors": ["duplicate_key"],
    "non-finite numbers are errors": ["infinite", "not_a_number", "overflow", "underflow"],
    "YAML 1.1 surprises: no": ["word_no", "word_off", "word_y_key", "spelled_true", "spelled_null", "tilde"],
    "YAML 1.1 surprises: 012": [
        "octal",
        "octal_new",
        "leading_zero_float",
        "hexadecimal",
        "binary_number",
        "sexagesimal",
    ],
    "YAML 1.1 surprises: 1_000": ["underscores"],
    "YAML 1.1 surprises: dates": ["date", "date_as_id"],
    "integers that JSON can't hold are errors": ["large_integer"],
    "non-NFC text is an error": ["decomposed", "decomposed_escape"],
    "control and direction characters are errors": [
        "control_character",
        "control_escape",
        "right_to_left",
        "byte_order_mark",
    ],
    "the file is UTF-8": ["not_utf8"],
    "long lines are refused": ["long_line"],
    "deep nesting is refused": ["deep_nesting"],
    "alias bombs are refused": ["alias_bomb", "alias", "anchor", "merge_key"],
    "tags and directives are refused": ["tag", "tag_str", "directive", "two_documents"],
    "everything is reported at once": ["several_at_once", "warning_and_error"],
    "title, question and the like are there, in words": ["missing_key", "empty_text", "says_nothing", "date"],
    "the id is a valid id": ["bad_id", "id_too_long", "id_is_a_number"],
    "schema_version is 1": ["true_as_version", "version_two"],
    "prior_data_seen: one of four levels, and what was seen": ["prior_data", "unknown_level"],
    "setup: what must be given, and in range": ["missing_setup", "missing_in_setup", "out_of_range", "override_only"],
    "setup: data set, model and optimizer exist": ["unknown_dataset", "unknown_model", "unknown_optimizer"],
    "setup: precision, schedule and save are known": ["unknown_precision", "unknown_schedule", "unknown_save"],
    "setup: the probe fits the test split": ["probe_too_large", "probe_too_large_in_arm"],
    "arms: rule and penalty exist, with their parameters": ["unknown_plugin", "unknown_penalty", "unknown_parameter"],
    "arms: something is left to train": ["frozen_all", "frozen_unknown", "frozen_unknown_part"],
    "arms: a matrix expands into named arms": [
        "matrix_suffix",
        "matrix_given_twice",
        "matrix_same_name",
        "matrix_too_large",
    ],
    "seeds: a count or a list": ["seeds_both", "seeds_neither", "seeds_twice", "zero_seeds", "seeds_empty"],
    "seeds: a known beacon draws those of count": [
        "seeds_beacon_and_list",
        "seeds_unknown_beacon",
        "seeds_beacon_without_delay",
    ],
    "the number of seeds can reach a decision at all": ["too_few_seeds", "guard_too_few"],
    "replicas stay within bounds": ["too_many_replicas", "too_many_seeds"],
    "arms exist": ["unknown_arm", "exploratory_of_nothing", "bad_contrast", "same_arm"],
    "layers exist": ["unknown_layer", "layer_missing", "layer_superfluous", "contrast_different_depths"],
    "epochs exist": ["epoch_not_evaluated", "epoch_after_the_end"],
    "metrics exist": ["metric_unknown", "metric_unknown_in_setup", "metric_not_measured", "metric_measured_nowhere"],
    "claims exist": ["unknown_claim", "unknown_claim_restored", "together/no_claims_file"],
    "a contrast compares the same metric and pairs by seed": [
        "contrast_of_two_metrics",
        "contrast_of_three",
        "estimand_both",
    ],
    "a metric is defined for the arm's rule": ["credit_of_bp"],
    "summaries, transform and unit fit the metric": [
        "samples_missing",
        "log_of_signed",
        "pp_of_norm",
        "pp_of_logarithm",
    ],
    "guards: their estimand exists and their threshold can be passed": [
        "unknown_guard_estimand",
        "guard_cannot_hold_above",
    ],
    "decisions: estimand and criterion fit": ["unknown_decision_estimand", "criterion_target", "unknown_criterion"],
    "exploratory never decides": ["decides_exploratory", "guards_exploratory"],
    "bands are disjoint": ["band_overlap", "band_overlap_itself"],
    "bands cover the whole line": ["band_gap", "band_gap_point"],
    "every boundary is on exactly one side": ["band_one_side_open", "band_overlap_point"],
    "no unreachable outcome": ["band_unreachable", "band_unreachable_point", "combine_table_dead_row"],
    "bands are intervals": ["bad_interval", "band_empty", "band_closed_infinity", "band_number", "one_band"],
    "several decisions combine by a declared rule": [
        "combine_missing",
        "combine_null",
        "combine_table_gap",
        "combine_unknown_rule",
    ],
    "exclusions: what a diverged seed does": ["unknown_policy", "worst_case", "worst_case_contrast"],
    "stopping: planned looks": ["looks", "looks_without", "looks_backwards", "looks_from_one", "anytime_criterion"],
    "every outcome has an implication": ["no_implication", "reserved_outcome_missing", "unknown_implication"],
    "the predicted outcome exists": ["unknown_prediction"],
    "an outcome moves a claim one way": ["contradictory_claim", "supports_and_restores", "walks_back_and_restores"],
    "implications don't contradict one another": [
        "odd/supports_without_ground",
        "odd/cannot_lose",
        "odd/claim_nobody_refutes",
        "together/opposite_meanings",
    ],
    "a prediction can be missed": [
        "odd/bands_nobody_misses",
        "odd/holds_whatever_comes",
        "odd/arms_of_one_training",
    ],
    "what shows nothing moves nothing": ["odd/inconclusive_supports", "odd/invalid_walks_back"],
    "ids are unique over the folder": ["together/same_id"],
    "nothing in a folder is left out in silence": ["together/left_out"],
    "what harness new leaves to the author is written": ["placeholder"],
    "claims stand on claims that exist, and not in circles": ["together/claim_on_nothing", "together/claim_on_itself"],
}


def files_of(name: str) -> list[Path]:
    folder, _, rest = name.rpartition("/")
    path = CORPUS / (folder or "invalid") / rest
    return [path] if path.is_dir() else [path.with_suffix(".yaml")]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_files_that_break_it(rule: str) -> None:
    for name in RULES[rule]:
        assert load_folder(files_of(name)).findings, name


def test_every_check_finds_something_in_the_corpus() -> None:
    folders = [CORPUS / "invalid", CORPUS / "odd", *(CORPUS / "together").iterdir()]
    found = {finding.rule for folder in folders for finding in load_folder([folder]).findings}
    # They need a ledger or a calculation of power: tests/unit/pipeline, tests/unit/inference.
    elsewhere = {"rerun", "amendment", "power"}
    assert set(CHECKS) - found == elsewhere
