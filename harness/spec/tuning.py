"""Tuning in the file: its space goes into the arms, and must be one that can be searched fairly.

``tuning.space`` names arms, and of each the paths that are searched, with their values or a distribution. In the
expanded document, an arm has the first value of every path, or the low end of its distribution, so that a space may
supply what an arm must have; what is trained and decided is what the search chose. The name of an arm with a matrix
stands for all arms that the matrix makes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.domain.tuning import count_candidates, is_drawn, name_candidate
from harness.metrics import Metric
from harness.plugins.registry import find_members
from harness.records import Arm, Distribution, Tuning
from harness.records.tuning import Value
from harness.spec.conditions import find_metric, is_single, list_choosers
from harness.spec.data import check_data
from harness.spec.draft import Draft
from harness.spec.forms import join_names, validate
from harness.spec.readings import check_places
from harness.spec.tree import Node, Path, Problem
from harness.wording import format_count, suggest

FIXED = {
    "setup.dataset": "the data must be the same for all candidates",
    "setup.subset": "the data must be the same for all candidates",
    "setup.validation": "all candidates must be validated on the same images",
    "setup.epochs": "all candidates must be measured at the same epochs",
    "setup.evaluation": "all candidates must be measured in the same way",
    "setup.save": "it changes nothing that is measured",
    "freeze": "it would be another question",
    "label": "it changes nothing that is measured",
    "matrix": "its arms have spaces of their own",
}
"""Path of what no space may vary → reason."""
BY_OTHERS = "choose by a metric that no loss is the unit of: validation_accuracy, train_loss_original"
MAX_CANDIDATES = 1_000
TUNING = "tuning"
"""Name of the check."""
TUNED = ("tuning",)
SPACE = (*TUNED, "space")
MAX_TRIED = 100
"""Largest number of whole numbers of which all are looked at."""


def expand_space(
    tuning: Node, arms: Mapping[str, Node], matrices: Mapping[str, Sequence[str]], programmed: Collection[str] = ()
) -> tuple[Node, dict[str, Node], list[Problem]]:
    """Return the tuning with a space per expanded arm, the arms with the first values of their spaces, and problems.

    ``programmed`` are arms that a program trains, of which parameters alone are searched.
    A part that does not have the expected shape is left alone, because the record reports it.
    """
    problems: list[Problem] = []
    spaces: dict[str, Node] = {}
    filled = dict(arms)
    for name, space in tuning.items("space").items():
        for target in matrices.get(name, [name]):
            spaces[target] = space
            if target in filled:
                for dotted, values in space.items().items():
                    at = (*SPACE, name, dotted)
                    found = list(_check_path(at, target, filled[target], dotted, space))
                    if target in programmed and not found:
                        found = list(_check_parameter(at, target, dotted))
                    problems += [replace(problem, rule=TUNING) for problem in found]
                    first = None if found else _find_first(values)
                    if first is not None:
                        filled[target] = set_node(filled[target], dotted.split("."), first, values)
    if not spaces:
        return tuning, filled, problems
    parts = {**tuning.items(), "space": replace(tuning.items()["space"], value=spaces)}
    return replace(tuning, value=parts), filled, problems


def _find_first(values: Node) -> Node | None:
    """Return the first of some values, or the low end of a distribution; None if there is none."""
    if isinstance(values.value, list) and values.value:
        first: Node = values.value[0]
        return first
    return values.get("low") if isinstance(values.value, dict) else None


def set_node(node: Node, path: list[str], value: Node, by: Node) -> Node:
    """Return ``node`` with ``value`` at ``path``; mappings created on the way get the place of ``by``'s key."""
    if not path:
        return value
    below = node.get(path[0]) or Node({}, by.key_at, by.key_at)
    return replace(node, value={**node.items(), path[0]: set_node(below, path[1:], value, by)})


def _check_path(at: Path, name: str, arm: Node, dotted: str, space: Node) -> Iterator[Problem]:
    """Yield what keeps a path from being searched."""
    for fixed, why in FIXED.items():
        if dotted == fixed or dotted.startswith(f"{fixed}."):
            yield Problem(at, f"{dotted} can't be searched: {why}", "search rule, penalty, setup.optimizer …", True)
            return
    if dotted.rpartition(".")[2] == "name":
        message = f"{dotted} can't be searched: another plug-in is another arm"
        yield Problem(at, message, "give it an arm of its own", on_key=True)
        return
    if any(dotted.startswith(f"{other}.") for other in space.items()):
        yield Problem(at, f"{dotted} lies inside another path of this space", "search one of both", on_key=True)
        return
    node, rest = arm.nearest(tuple(dotted.split(".")))
    if not rest:
        message = f"{dotted} is given in arm {name!r} and searched in its space"
        yield Problem(at, message, "remove it from one", on_key=True)
    elif not isinstance(node.value, dict):
        message = f"{dotted} leads into something that is not a mapping"
        yield Problem(at, message, "give a path of keys", on_key=True)


def _check_parameter(at: Path, name: str, dotted: str) -> Iterator[Problem]:
    """Yield a path that is no parameter, of an arm that a program trains."""
    first, _, rest = dotted.partition(".")
    if first != "parameters" or not rest or "." in rest:
        message = f"{dotted} can't be searched: a program trains arm {name!r}, and is told parameters alone"
        yield Problem(at, message, "search parameters.NAME, for a placeholder {NAME} of the command", on_key=True)


def check_search(draft: Draft) -> Iterator[Problem]:
    """Yield searches that choose by what they must not, or that don't give compared arms the same chances."""
    tuning = draft.tuning
    if tuning is None:
        return
    declared = _find_declared(draft, tuning.select)
    yield from _check_select(draft, tuning) if declared is None else _check_declared(draft, tuning, declared)
    for name in tuning.space:
        if missing := draft.unknown("arms", "arm", name):
            yield Problem((*SPACE, name), missing, f"arms: {', '.join(draft.names('arms'))}", on_key=True)
        elif (count := count_candidates(tuning, name)) > MAX_CANDIDATES:
            message = f"this space has {count:,} candidates"
            yield Problem((*SPACE, name), message, f"at most {MAX_CANDIDATES:,} are allowed", on_key=True)
        elif name in draft.arms and draft.arms[name].init_from is not None:
            message = f"arm {name!r} starts from stored weights, of which there are none for tuning seeds"
            yield Problem((*SPACE, name), message, "remove its space, or init_from", on_key=True)
        elif name in draft.arms:
            yield from _check_names(draft, name, count)
            yield from _check_values(draft, name, tuning)
            yield from _check_draws(draft, name, tuning)
    yield from _check_trials(tuning)
    yield from _check_budgets(draft, tuning)
    yield from _check_trends(draft, tuning)


def _check_select(draft: Draft, tuning: Tuning) -> Iterator[Problem]:
    """Yield a metric that can't choose: it doesn't exist, reads the test split, or isn't measured."""
    at, name, metric = ("tuning", "select"), tuning.select, find_metric(tuning.select)
    remedy = f"choose by another metric: {list_choosers()}"
    if metric is None:
        known = [*draft.names("metrics")] if draft.given("program") else [*find_members("metrics")]
        yield Problem(at, f"no metric is called {name!r}{suggest(name, known)}", f"known: {', '.join(known)}")
    elif not is_single(metric):
        message = f"{name} has several values per replica and epoch: none of them says which candidate is best"
        yield Problem(at, message, remedy)
    elif metric.better is None:
        yield Problem(at, f"{name} is better neither higher nor lower: no candidate is best by it", remedy)
    elif metric.split == "test":
        message = f"tuning on the test split: {name} reads it, and would choose the arms that are judged on it"
        yield Problem(at, message, remedy)
    else:
        for arm in tuning.space:
            setup = draft.arms[arm].setup if arm in draft.arms else None
            if setup is None:
                continue
            by_program = draft.arms[arm].is_program
            if metric.split == "validation" and setup.validation is None and not by_program:
                message = f"{name} is measured on a validation split, and arm {arm!r} sets no images apart for one"
                yield Problem(at, message, "add validation to the setup: {share: 0.1}")
            elif metric.of_loss and (searched := [path for path in tuning.space[arm] if _is_of_loss(path)]):
                message = f"{name} has the unit of the loss, and candidates of arm {arm!r} have different ones: "
                yield Problem(at, f"{message}{searched[0]} is searched", BY_OTHERS)
            elif name not in setup.evaluation.keys:
                message = f"{name} is not measured on arm {arm!r}"
                there = f"setup.evaluation.metrics: {join_names(setup.evaluation.keys)}"
                there = f"metrics, if the program measures it: {name}: {{built_in: true}}" if by_program else there
                yield Problem(at, message, f"add it to {there}")


def _find_declared(draft: Draft, name: str) -> Metric | None:
    """Return the metric that a program measures by a name of its own; None if it measures none of it."""
    own = (metric for arm in draft.arms.values() if arm.is_program for metric in arm.setup.evaluation.metrics)
    return next((one for one in own if not isinstance(one, str) and one.declared and one.called == name), None)


def _check_declared(draft: Draft, tuning: Tuning, metric: Metric) -> Iterator[Problem]:
    """Yield why a program's own metric can't choose, and a warning where it also judges."""
    at, name = (*TUNED, "select"), tuning.select
    if metric.layered:
        message = f"{name} has several values per replica and epoch: none of them says which candidate is best"
        yield Problem(at, message, "choose by a metric without layers")
    elif metric.better is None:
        message = f"{name} is better neither higher nor lower: no candidate is best by it"
        yield Problem(at, message, f"say which, in metrics.{name}: {{better: higher}} or {{better: lower}}")
    for arm in tuning.space:
        if arm in draft.arms and not draft.arms[arm].is_program:
            message = f"{name} is the program's own metric, and harness trains arm {arm!r}"
            remedy = "choose by a metric of harness's own: {built_in: true} says that the program measures it too"
            yield Problem(at, message, remedy)
    judged = {decision.estimand for decision in draft.decisions.values()} & draft.estimands.keys()
    if any(one.called == name for key in judged for one in draft.estimands[key].metrics.values()):
        message = f"{name} chooses the arms that it also judges: on data that all seeds share, they are chosen by them"
        remedy = "choose by another metric, measured on data that judge nothing; or let every seed draw its own data"
        yield Problem(at, message, remedy, severity="warning")


def _check_names(draft: Draft, name: str, count: int) -> Iterator[Problem]:
    """Yield an arm with the name of a candidate of a program, whose files would have the same names."""
    if draft.arms[name].is_program:
        for taken in {name_candidate(name, position) for position in range(count)} & {*draft.names("arms")}:
            message = f"arm {taken!r} has the name of a candidate of arm {name!r}, which are numbered from 1"
            yield Problem(("arms", taken), message, "rename one", on_key=True)


def _is_of_loss(path: str) -> bool:
    """Tell whether a searched path changes the loss."""
    return f"{path}.".startswith("setup.loss.")


def _check_values(draft: Draft, name: str, tuning: Tuning) -> Iterator[Problem]:
    """Yield values that an arm can't have, and that are named twice. The first of each path is the arm's own."""
    arm = draft.root.items("arms")[name]
    for dotted, values in tuning.space[name].items():
        at = (*SPACE, name, dotted)
        node, _ = draft.root.nearest(at)
        if isinstance(values, Distribution):
            continue
        for position, value in enumerate(values):
            if any(value == other and type(value) is type(other) for other in values[:position]):
                yield Problem((*at, position), f"{value} is named twice, and would be trained twice", "name it once")
            given = node.get(position)
            if position == 0 or given is None:
                continue
            changed = set_node(arm, dotted.split("."), given, node)
            record, misfits = validate(Arm, changed)
            problems = misfits if record is None else _check_candidate(draft, name, changed, record)
            yield from (replace(problem, path=(*at, position), on_key=False) for problem in problems)


def _check_draws(draft: Draft, name: str, tuning: Tuning) -> Iterator[Problem]:
    """Yield ranges with numbers that an arm can't have. Their low ends are the arm's own."""
    arm = draft.root.items("arms")[name]
    for dotted, values in tuning.space[name].items():
        at = (*SPACE, name, dotted)
        node, _ = draft.root.nearest(at)
        if not isinstance(values, Distribution):
            continue
        for number in _list_tried(values):
            changed = set_node(arm, dotted.split("."), replace(node, value=number), node)
            record, misfits = validate(Arm, changed)
            problems = misfits if record is None else [*_check_candidate(draft, name, changed, record)]
            if problems:
                remedy = problems[0].remedy
                if isinstance(number, float) and not number.is_integer() and "whole number" in problems[0].message:
                    remedy = f"distribution: integer draws whole numbers from {values.low:g} to {values.high:g}"
                yield from (replace(found, path=at, remedy=remedy, on_key=True) for found in problems)
                break


def _list_tried(values: Distribution) -> list[int | float]:
    """Return numbers that stand for all that can be drawn: all, of few whole ones; else the high end and a middle."""
    low, high = values.low, values.high
    if values.distribution == "integer":
        few = range(int(low), int(high) + 1)
        return [*few] if len(few) <= MAX_TRIED else [int(low), (int(low) + int(high)) // 2, int(high)]
    middle = math.sqrt(low * high) if values.distribution == "loguniform" else (low + high) / 2
    return [middle if not middle.is_integer() else low + 0.382 * (high - low), high]


def _check_trials(tuning: Tuning) -> Iterator[Problem]:
    """Yield a number of candidates that is missing, that nothing is drawn for, or that no space has."""
    drawn = [name for name in tuning.space if is_drawn(tuning, name)]
    if drawn and tuning.trials is None:
        message = f"the candidates of {join_names(drawn)} are drawn, and nothing says how many"
        yield Problem(TUNED, message, "add trials: 8, for example", on_key=True)
    if tuning.trials is not None and not drawn:
        message = "trials is the number of candidates that are drawn, and no space has a distribution"
        yield Problem((*TUNED, "trials"), message, "remove it: the lists form a grid", on_key=True)
    for name in drawn:
        sizes = [_count_values(values) for values in tuning.space[name].values()]
        if tuning.trials is not None and (number := math.prod(sizes)) < tuning.trials:
            message = f"{tuning.trials} candidates are drawn of the {number:.0f} that this space has"
            yield Problem((*SPACE, name), message, "list all of them, or draw fewer", on_key=True)


def _count_values(values: tuple[Value, ...] | Distribution) -> float:
    if not isinstance(values, Distribution):
        return len(values)
    return values.high - values.low + 1 if values.distribution == "integer" else math.inf


def _check_candidate(draft: Draft, name: str, node: Node, arm: Arm) -> Iterator[Problem]:
    """Yield what a well-formed candidate breaks: its data lack what it asks for, or it lacks an estimand's layers."""
    before = {problem.message for problem in check_data(_with_arm(draft, name, draft.root.items("arms")[name]))}
    yield from (found for found in check_data(_with_arm(draft, name, node)) if found.message not in before)
    for estimand in (*draft.estimands.values(), *draft.exploratory.values()):
        if name in estimand.arms:
            before = {problem.message for problem in check_places((), estimand, name, draft.arms[name])}
            places = check_places((), estimand, name, arm)
            yield from (found for found in places if found.message not in before)


def _with_arm(draft: Draft, name: str, node: Node) -> Draft:
    return Draft(replace(draft.root, value={**draft.root.items(), "arms": replace(draft.root, value={name: node})}))


def _check_budgets(draft: Draft, tuning: Tuning) -> Iterator[Problem]:
    """Yield comparisons of arms with unequal numbers of candidates, and a reason for what isn't there."""
    unequal = False
    for name in dict.fromkeys(decision.estimand for decision in draft.decisions.values()):
        estimand = draft.estimands.get(name)
        if estimand is None or not estimand.compares:
            continue
        budgets = {arm: count_candidates(tuning, arm) for arm in estimand.arms}
        if len(set(budgets.values())) > 1:
            unequal = True
            if tuning.unequal is None:
                told = ", ".join(f"{arm} has {format_count(count, 'candidate')}" for arm, count in budgets.items())
                message = f"unequal budgets: of the arms that {name!r} compares, {told}"
                remedy = "give them equally many candidates, or say under unequal why they differ"
                yield Problem(SPACE, message, remedy, on_key=True)
    if tuning.unequal is not None and not unequal and draft.decisions:
        message = "unequal gives a reason, but all arms that are compared have equally many candidates"
        yield Problem(("tuning", "unequal"), message, "remove it", on_key=True)


def _check_trends(draft: Draft, tuning: Tuning) -> Iterator[Problem]:
    """Yield spaces that vary the number that orders the arms of a trend."""
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            if estimand.trend is not None:
                for arm in estimand.arms:
                    if estimand.trend.over in tuning.space.get(arm, {}):
                        over = estimand.trend.over
                        message = f"{section}.{name} is a trend over {over}, which arm {arm!r} would choose"
                        yield Problem((*SPACE, arm, over), message, "search another path", on_key=True)
