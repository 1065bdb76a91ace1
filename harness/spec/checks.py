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
    "for_each": (
        "The variables of an entry that stands for several take their values from a matrix or a list, and each is used "
        "in it; the grid has at most 1,000 entries of new names."
    ),
    "version": "schema_version is the whole number 1.",
    "arms": (
        "Metrics and frozen parts exist, the data set has the classes and images that a subset, a validation split, a "
        "batch and the probe ask for, and something is left to train."
    ),
    "estimands": (
        "An estimand names arms, layers, epochs and a measured metric that exist, says how samples are summarised, "
        "and its metric, transform, unit and summaries mean something for these arms, each of which counts."
    ),
    "tuning": (
        "Nothing is chosen by a metric that reads the test split, on which the result is then judged: no epoch, and no "
        "candidate of a search. A search varies what its arms don't give themselves, and gives arms that are compared "
        "equally many candidates, or says why not."
    ),
    "program": (
        "A program's command has a value for every placeholder, estimands read what is declared of it, and a file is "
        "trained by its program or by harness."
    ),
    "censored": (
        "Onsets, which may be never, are summarised and compared as ordered values, not by means that need their size. "
        "Nor are seeds left out because an arm never came so far, or differences taken for symmetric that aren't."
    ),
    "guards": "A guard's estimand exists, its threshold can be passed, and enough seeds are registered to verify it.",
    "decisions": (
        "A decision's estimand exists and is the parameter that its criterion tests, and arms that are taken for "
        "independent share no seeds."
    ),
    "worst-case": (
        "The worst-case policy for diverged seeds has a worst value to use, and no contrast, slope or peak minus last."
    ),
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
    "effects": (
        "Options that an arm gives change how it trains: none is divided out by the optimizer, acts on frozen parts "
        "alone or cancels out."
    ),
    "preconditions": "The set-up meets every precondition that the file names, so that it can answer the question.",
    "unread": (
        "Every file in a folder of hypotheses can be read and is one: it lies directly in the folder, is named *.yaml, "
        "and is not an editor's leftover."
    ),
    "placeholder": "No string is still a placeholder in angle brackets, which harness new leaves to the author.",
    "unique-id": "An id is used only once in all files that are checked together.",
    "init-from": (
        "An arm that starts from stored weights names a judged run of the trail that kept them, with the same model, "
        "data set, precision and number of seeds."
    ),
    "rerun": (
        "A file that asks the question of a registered hypothesis under new names says so: otherwise the question is "
        "tried again until it gives the wanted outcome."
    ),
    "prior-data": (
        "A question whose results were explored before (harness explore) declares them: prior_data_seen has the level "
        "analysed, and names each exploration."
    ),
    "amendment": (
        "A registered hypothesis keeps its meaning: it changes only by an amendment in the ledger, and its file stays "
        "among the project's hypotheses."
    ),
}
"""Name of a check → condition that holds if it finds nothing."""
