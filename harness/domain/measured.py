"""Metrics that are measured on an arm, because they are defined for its rule."""

from __future__ import annotations

from harness.metrics import Conditions, Metric
from harness.records import Setup
from harness.rules import Rule


def is_defined(metric: Metric, rule: Rule, setup: Setup) -> bool:
    """Tell whether rule and model provide what the metric needs, as ``explain_undefined`` has it."""
    return explain_undefined(metric, rule, setup) is None


def explain_undefined(metric: Metric, rule: Rule, setup: Setup) -> tuple[str, str] | None:
    """Return what a metric needs and a rule or model doesn't have, and a remedy; None if the metric is defined."""
    lack = find_lack(metric, rule)
    if lack is not None:
        return f"rule {rule.name} {lack[0]}", lack[1]
    if metric.needs_credit and not setup.model.has_equal_states:
        remedy = "use a metric that reads credit where it acts, such as site_cosine"
        return f"model {setup.model.name} has states of several shapes, which its pairing can't compare", remedy
    if metric.conditions.feedback == "fresh" and not has_feedback(rule, setup):
        remedy = "choose an arm whose rule has feedback, or remove feedback from the metric"
        return f"rule {rule.name} has no feedback matrices", remedy
    return None


def find_lack(metric: Metric | type[Metric], rule: Rule) -> tuple[str, str] | None:
    """Return what a rule fails to do for a metric, whatever its parameters, and a remedy; None if nothing."""
    if metric.needs_credit and not rule.defines_credit:
        return "gives no credit vector", "choose an arm whose rule gives credit, or another metric"
    if metric.needs_site_credit and not rule.gives_site_credit:
        return "gives no credit that could be measured", "choose an arm whose rule gives credit, or another metric"
    if metric.needs_matrices and not rule.is_direct:
        remedy = "choose an arm with direct feedback, such as dfa, or another metric"
        return "brings the error to states by no matrix of their own", remedy
    if metric.needs_pairs and not rule.pairs_weights:
        remedy = "choose an arm whose rule has other weights on the way back, such as fa, or another metric"
        return "sends the error back through the weights themselves or past them", remedy
    return None


def has_feedback(rule: Rule, setup: Setup) -> bool:
    """Tell whether a rule has feedback matrices in this setup."""
    return bool(rule.feedback(setup.model, setup.dataset.features, setup.classes))


def explain_unmeasurable(metric: Metric, setup: Setup) -> tuple[str, str] | None:
    """Return why a setup's data don't have what a metric is measured on, and a remedy; None if they have it."""
    split, samples = metric.measured_split, metric.conditions.probe_samples
    if setup.validation is None and split == "validation":
        why = f"{metric.key} is measured on a validation split, and no images are set apart for one"
        return why, "add validation to the setup: {share: 0.1}"
    if setup.classes < metric.least_classes:
        why = f"{metric.key} is about class {metric.least_classes - 1}, but the last is {setup.classes - 1}"
        return why, "choose another class; they are counted from 0"
    if metric.conditions == Conditions() or (split == "test" and samples is None):
        return None  # the probe batch is the setup's
    asked, there = samples or setup.evaluation.probe_samples, setup.count(split)
    if asked > there:
        why = f"{metric.key} asks for {asked:,} probe samples, but the {split} split has {there:,}"
        return why, f"set probe_samples of the metric to {there} or less"
    return None
