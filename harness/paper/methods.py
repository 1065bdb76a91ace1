"""The methods section: sentences about an experiment that follow from its registered form alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from harness.domain.places import describe_condition
from harness.inference.estimands import build_title, name_unit
from harness.losses import is_default_loss
from harness.paper.design import describe_combination, describe_looks, describe_tuning
from harness.paper.markup import code, foreign, quoted
from harness.paper.programs import describe_arm, describe_program, tell_failed
from harness.plugins.fields import read_docstring
from harness.records import Arm, DecisionSpec, Guard, Hypothesis, Setup
from harness.verdict.tables import describe_plugin, list_own_settings
from harness.wording import (
    append_unit,
    format_count,
    format_exact,
    format_level,
    join_words,
    name_target,
    spell_count,
    typeset,
)

WORDS = {"lr": "learning rate", "beta1": "β1", "beta2": "β2", "eps": "ε", "terminal norm": "final layer norm"}
"""Parameter → the field's word for it, where that is another."""
SEEN = {
    "none": "no data that bear on the question existed",
    "exists_unseen": "such data existed, and nobody had looked at them",
    "summaries_seen": "summaries of such data had been seen",
    "analysed": "such data had been analysed",
}
UNITS = {"pp": "percentage points", "log10": "the decimal logarithm", "ratio": "a ratio, without a unit"}


def name_plugin(part: BaseModel) -> str:
    """Return a plug-in with its parameters: ``adamw (learning rate 0.001, weight decay 0.01)``."""
    name, _, listed = describe_plugin(part).partition(": ")
    told = [_name_parameter(item) for item in re.split(r", (?![^(]*\))", listed)] if listed else []
    return f"{code(name)} ({foreign(typeset(', '.join(told)))})" if told else code(name)


def _name_parameter(text: str) -> str:
    for short, word in WORDS.items():
        text = re.sub(rf"^{re.escape(short)}(?= )", word, text)
    return text


def describe_question(form: Hypothesis) -> Iterator[str]:
    """Yield the question, the prediction, and what was known before."""
    yield f"Question, as it was registered: {foreign(form.question)}"
    why = foreign(form.prediction.why)
    yield f"The authors predicted the outcome {quoted(form.prediction.outcome)}, for this reason: {why}"
    seen = form.prior_data_seen
    what = f": {foreign(seen.what)}" if seen.what is not None else "."
    yield f"Of earlier data the registration declares that {SEEN[seen.level]}{what}"


def describe_data(form: Hypothesis) -> Iterator[str]:
    """Yield sentences about the images that arms share, unless an arm has its own; of arms that harness trains."""
    if form.built_in is None:
        return
    if form.program is not None:
        yield _tell_own_arms(form.built_in)
    setup, data = form.setup, form.setup.dataset
    title = foreign(getattr(data, "title", "") or data.name)
    sizes = f"{data.train_count:,} training and {data.test_count:,} test images of {data.classes} classes"
    yield f"The data set is {title}, with {sizes}."
    if augment := getattr(data, "augment", ()):
        yield f"Training images are augmented by {join_words([code(one) for one in augment])}."
    if setup.subset is not None:
        kept = []
        if setup.subset.classes is not None:
            kept.append(f"the classes numbered {join_words([str(one) for one in sorted(setup.subset.classes)])}")
        if setup.subset.size is not None:
            kept.append(format_count(setup.subset.size, "training image"))
        yield f"Of these, only {join_words(kept)} are used, drawn by a fixed key and the same for all replicas."
    if setup.validation is not None:
        yield (
            f"A validation split of {setup.validation_count:,} training images is set apart, never trained on, and the "
            "same for all replicas."
        )
    if setup.labels.changed:
        share = "" if setup.labels.share is None else f", for a share of {format_exact(setup.labels.share)} of them"
        yield f"Training labels are replaced by {setup.labels.name} ones{share}; test labels are the original ones."


def describe_training(form: Hypothesis) -> Iterator[str]:
    """Yield sentences about model, loss, optimizer, duration, precision and evaluation, as all arms share them."""
    if form.built_in is not None:
        yield from _describe_setup(form.setup)
    yield from describe_program(form)


def _tell_own_arms(own: Hypothesis) -> str:
    labels = [foreign(arm.label) for arm in own.arms.values()]
    return f"Harness itself trains {join_words(labels)}, as follows."


def _describe_setup(setup: Setup) -> Iterator[str]:
    yield f"The model is {name_plugin(setup.model)}."
    loss = "cross entropy" if is_default_loss(setup.loss) else f"the loss {name_plugin(setup.loss)}"
    yield f"It is trained on {loss} by the optimizer {name_plugin(setup.optimizer)}."
    yield from _describe_duration(setup)
    every = setup.evaluation.every_epochs
    when = "after every epoch" if every == 1 else f"after epoch 1, after every {every} epochs, and after the last epoch"
    yield (
        f"Metrics are measured {when}; those with one value per sample are measured on a probe batch of "
        f"{setup.evaluation.probe_samples:,} images, the same for all replicas."
    )


def describe_preconditions(form: Hypothesis) -> Iterator[str]:
    """Yield what the set-up was held to; nothing if the file names no preconditions."""
    if form.preconditions:
        listed = join_words([name_plugin(one) for one in form.preconditions])
        yield f"Whenever the file was checked, and so before it was registered, the set-up was held to {listed}."


def _describe_duration(setup: Setup) -> Iterator[str]:
    stop = "" if setup.until is None else f", or until {foreign(describe_condition(setup.until))}"
    yield (
        f"Every replica is trained for {format_count(setup.epochs, 'epoch')}{stop}, with batches of "
        f"{format_count(setup.batch_size, 'image')}, in {code(setup.precision)} arithmetic."
    )


def describe_arms(form: Hypothesis) -> list[str]:
    """Return a sentence for each arm: its rule, its penalty, what is frozen, and what it has of its own."""
    own = {} if form.built_in is None else list_own_settings(form.built_in)
    return [_describe_arm(name, arm, own.get(name, "")) for name, arm in form.arms.items()]


def introduce_arms(form: Hypothesis) -> str:
    """Return the sentence before the list of arms."""
    if len(form.arms) == 1:
        return "One arm is trained:"
    return f"{spell_count(len(form.arms)).capitalize()} arms are trained and compared seed by seed:"


def _describe_arm(name: str, arm: Arm, own: str) -> str:
    if arm.is_program:
        return describe_arm(name, arm)
    told = f"{foreign(arm.label)} ({code(name)}) learns by the rule {name_plugin(arm.rule)}"
    told += f" with the penalty {name_plugin(arm.penalty)}" if arm.penalty is not None else ""
    told += f"; frozen at their initial values: {join_words([code(part) for part in arm.freeze])}" if arm.freeze else ""
    told += f"; its own settings: {foreign(typeset(own))}" if own else ""
    return f"{told}."


def describe_seeds(form: Hypothesis) -> Iterator[str]:
    """Yield sentences about the repetitions and their number."""
    seeds = form.seeds
    shared = []
    if form.built_in is not None:
        arms = "all arms" if form.program is None else "the arms that harness trains"
        weights = "the same weights where their models agree"
        shared = [f"with one seed, {arms} start from {weights}, and see the same batches and augmentations"]
    if form.program is not None:
        shared.append("the program is given each seed's number, and harness does not see what it draws by it")
    yield f"Every arm is trained with the same {format_count(seeds.number, 'seed')}: {'; '.join(shared)}."
    if seeds.list is not None:
        yield "The seeds were picked by hand: the registered file lists their numbers."
    elif seeds.beacon is not None:
        yield (
            f"The seed numbers are derived by SHA-256 from what is trained and decided and from the first round of the "
            f"beacon {code(seeds.beacon.name)} that came later than the registration."
        )
    else:
        yield "The seed numbers are derived by SHA-256 from the registration."
    if seeds.justification is not None:
        yield f"The authors justify this number as follows: {foreign(seeds.justification)}"
    yield from describe_looks(form)


def describe_decisions(form: Hypothesis) -> list[str]:
    """Return what each decision is about, how it is tested, and its bands."""
    return [" ".join(_describe_decision(form, name, spec)) for name, spec in form.decisions.items()]


def _describe_decision(form: Hypothesis, name: str, spec: DecisionSpec) -> Iterator[str]:
    estimand, criterion = form.estimands[spec.estimand], spec.criterion
    unit = name_unit(estimand)
    yield f"Decision {code(name)}: the estimand is the {foreign(build_title(estimand, form))}"
    yield f"(unit: {UNITS.get(unit, foreign(unit))})." if unit else "(without a unit)."
    bands = [f"{quoted(band)} for {typeset(str(parts))}" for band, parts in spec.bands.items()]
    yield f"Its {name_target(estimand.summary)} over seeds is tested against the bands {join_words(bands)}"
    level = format_level(criterion.alpha)
    yield f"by the criterion {code(criterion.name)} ({foreign(criterion.source)}) at α = {level}."


def describe_rule_of_decision(form: Hypothesis) -> Iterator[str]:
    """Yield how an outcome follows, and what it assumes."""
    yield (
        "The boundaries of the bands divide the line into parts, one of which holds the true value. "
        "A part is rejected if the p-value of the hypothesis that the true value lies in it is at most α. "
        "An outcome is reached only if all parts of all other bands are rejected, so that the probability of a wrong "
        "outcome is at most α; otherwise the result is inconclusive."
    )
    assumed = dict.fromkeys(spec.criterion.assumes for spec in form.decisions.values())
    yield f"This holds under the assumption that {'; and that '.join(map(foreign, assumed))}."
    yield from describe_combination(form)


def describe_guards(form: Hypothesis) -> list[str]:
    """Return a sentence for each guard."""
    return [_describe_guard(form, name, guard) for name, guard in form.guards.items()]


def _describe_guard(form: Hypothesis, name: str, guard: Guard) -> str:
    estimand = form.estimands[guard.estimand]
    side, threshold = ("above", guard.above) if guard.above is not None else ("below", guard.below)
    assert threshold is not None, "a guard has one of both"
    bound = append_unit(format_exact(threshold), name_unit(estimand))
    return (
        f"Guard {code(name)}: the {foreign(build_title(estimand, form))} must lie {side} {bound}, which is tested "
        "across "
        f"all seeds at α = {format_level(guard.alpha)}. If it does not: {foreign(guard.otherwise)}"
    )


def describe_exclusions(form: Hypothesis) -> str:
    """Return what becomes of seeds without a usable value."""
    told = {
        "invalid": "makes the outcome invalid",
        "worst_case": "counts with the metric's worst value",
        "exclude": "is left out, with its pair, and counted",
    }[form.exclusions.diverged]
    failed = tell_failed(form)
    return (
        f"A seed that diverges in an arm that is compared {told}. {failed + ' ' if failed else ''}No other value is "
        "excluded."
    )


def describe_exploratory(form: Hypothesis) -> list[str]:
    """Return the exploratory estimands in words."""
    return [foreign(build_title(estimand, form)) for estimand in form.exploratory.values()]


def tell_exploratory(form: Hypothesis) -> str:
    """Return the number of exploratory estimands; nothing if there are none."""
    count = len(form.exploratory)
    if not count:
        return ""
    told = format_count(count, "exploratory estimand")
    return (
        f"Beside these, the registered file has {told}, listed with the exploratory results: no part of any decision."
    )


def list_components(form: Hypothesis) -> list[str]:
    """Return a sentence on each plug-in: what it is, by its own description, and its source."""
    found: dict[tuple[str, str], BaseModel] = {}
    for arm in form.arms.values():
        if arm.is_program:
            continue
        setup = arm.setup
        parts: Mapping[str, Any] = {
            "learning rule": arm.rule, "penalty": arm.penalty, "model": setup.model, "data set": setup.dataset,
            "optimizer": setup.optimizer, "loss": setup.loss,
        }  # fmt: skip
        found |= {(kind, part.name): part for kind, part in parts.items() if part is not None}
    for estimand in form.estimands.values():
        own = [metric for metric in estimand.metrics.values() if not metric.declared]
        found |= {("metric", metric.name): metric for metric in own}
    for spec in form.decisions.values():
        found["criterion", spec.criterion.name] = spec.criterion
    return [_describe_component(kind, part) for (kind, _), part in sorted(found.items(), key=lambda item: item[0][0])]


def _describe_component(kind: str, part: Any) -> str:
    own = read_docstring(type(part)).split("\n\n")[0]
    module = sys.modules.get(type(part).__module__)
    source = read_docstring(module).split("\n\n")[0] if module is not None else ""
    told, source = (foreign(text.replace("``", "")) for text in (own, source))
    return f"{kind.capitalize()} {code(part.name)}: {told}" + (f" Source: {source}" if source else "")


def tell_methods(form: Hypothesis) -> dict[str, Any]:
    """Return all that the template of the methods prints."""
    return {
        "question": list(describe_question(form)),
        "data": list(describe_data(form)),
        "training": [*describe_training(form), *describe_preconditions(form)],
        "introduce_arms": introduce_arms(form),
        "arms": describe_arms(form),
        "seeds": list(describe_seeds(form)),
        "tuning": list(describe_tuning(form)),
        "decisions": describe_decisions(form),
        "rule": list(describe_rule_of_decision(form)),
        "guards": describe_guards(form),
        "exclusions": describe_exclusions(form),
        "exploratory": tell_exploratory(form),
        "components": list_components(form),
    }
