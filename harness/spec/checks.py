"""The checks by name. Findings carry these names, ``harness explain`` describes them, SARIF lists them as rules."""

from __future__ import annotations

CHECKS = {
    "syntax": (
        "The file is strict YAML: UTF-8 in composed form, at most 1 MiB, 40 levels and 20,000 values; no anchors, "
        "aliases, tags, directives, merge keys, duplicate keys or second document; no scalar that YAML versions "
        "read differently."
    ),
    "form": "Every key is known, every required key is there, and every value has its type and range.",
    "matrix": (
        "A matrix varies paths inside its arm that the arm does not give itself, into at most 1,000 arms of new names."
    ),
    "version": "schema_version is the whole number 1.",
    "arms": (
        "Metrics and frozen parts exist, the probe is no larger than the test split, and something is left to train."
    ),
    "estimands": (
        "An estimand names arms, layer, epoch and a measured metric that exist, says how samples are summarised, "
        "and its metric, transform and unit mean something for these arms."
    ),
    "guards": "A guard's estimand exists, its threshold can be passed, and enough seeds are registered to verify it.",
    "decisions": "A decision's estimand exists and is the parameter that its criterion tests.",
    "worst-case": "The worst-case policy for diverged seeds has a worst value to use, and no contrast.",
    "bands": "Bands are disjoint, cover every value that the estimand can have, and each can be reached.",
    "combine": (
        "Several decisions lead to one outcome: every combination of bands has a row or rule, every row is needed."
    ),
    "seeds": (
        "The registered number of seeds can reach a decision at the criterion's level, and replicas stay within bounds."
    ),
    "power": (
        "The registered seeds confirm the prediction with a probability of 80%, at the sd that the file assumes."
    ),
    "stopping": "Looks ascend to the registered number of seeds; a fixed number of seeds has none.",
    "outcomes": "The predicted outcome exists, and every outcome, inconclusive and invalid too, has one implication.",
    "claims": "The claims that are named exist in claims.yaml, and no claim stands on itself through others.",
    "contradictions": (
        "No outcome moves a claim two ways; no file, and no two files about the same question, contradict each "
        "other in what a result means."
    ),
    "unmissable": (
        "Some result could miss the prediction: other outcomes take 5% of the possible values at least, not every "
        "likely outcome confirms the same claim, and compared arms train differently."
    ),
    "unread": (
        "Every file in a folder of hypotheses can be read and is one: it lies directly in the folder, is named *.yaml, "
        "and is not an editor's leftover."
    ),
    "placeholder": "No string is still a placeholder in angle brackets, which harness new leaves to the author.",
    "unique-id": "An id is used only once in all files that are checked together.",
    "rerun": (
        "A file that asks the question of a registered hypothesis under new names says so: otherwise the question is "
        "tried again until it gives the wanted outcome."
    ),
    "amendment": (
        "A registered hypothesis keeps its meaning: it changes only by an amendment in the ledger, and its file stays "
        "among the project's hypotheses."
    ),
}
"""Name of a check → condition that holds if it finds nothing."""
