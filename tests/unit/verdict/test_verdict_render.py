from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from harness.errors import HarnessError
from harness.records import Attempt, Consequences, Decision
from harness.verdict import Form, default_templates, render, tables
from harness.verdict.bands import draw_bands
from harness.verdict.canvas import choose_line_style
from harness.verdict.page import fill
from tests.unit.verdict import verdict_samples as samples

REAL = (31.2, 28.9, 33.5, 30.1, 29.4)
OPEN = (26.0, 31.0, 24.0, 29.0, 27.0)


def page(files: dict[str, bytes]) -> str:
    return files["verdict.md"].decode()


def told(*records: Any) -> dict[str, bytes]:
    """The files without figures, which take most of the time: for tests that look at words only."""
    return render(*records, Form(figures=False))


@pytest.fixture(scope="module")
def decided() -> dict[str, bytes]:
    return render(*samples.decided())


def test_files(decided: dict[str, bytes]) -> None:
    assert list(decided) == [
        "figures/credit_cosine-layers.svg",
        "figures/credit_norm-layers.svg",
        "figures/direction.svg",
        "figures/gradient_norm-layers.svg",
        "figures/hidden_norm-layers.svg",
        "figures/learning-curves.svg",
        "verdict.json",
        "verdict.md",
    ]


def test_outcome_comes_first(decided: dict[str, bytes]) -> None:
    lines = [line for line in page(decided).splitlines() if line]
    assert lines[0].startswith("# Hypothesis: DFA's credit signal")
    assert lines[1] == '**The outcome is "confirmed", as predicted.**'


def test_sections_stand_in_order_and_none_is_empty(decided: dict[str, bytes]) -> None:
    parts = re.split(r"^## (.*)$", page(decided), flags=re.MULTILINE)
    assert parts[1::2] == [
        "The question",
        "The estimate",
        "Guards",
        "What was decided and why, step by step",
        "What this does to earlier claims",
        "What the other outcomes would have meant",
        "Seeds",
        "Attempts",
        "Deviations",
        "Exploratory results: they never decide",
        "What was measured",
        "How it was trained",
        "Where it comes from",
        "How to check this",
    ]
    assert all(len(body.strip()) > 20 for body in parts[2::2])


def test_figures_are_small_wellformed_and_shown(decided: dict[str, bytes]) -> None:
    shown = re.findall(r"!\[(.+)\]\((figures/.+)\)", page(decided))
    assert sorted(path for _, path in shown) == [name for name in decided if name.startswith("figures/")]
    assert all(len(alt) > 20 for alt, _ in shown)
    for name, data in decided.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(data)
            assert root.tag.endswith("svg") and root.get("width") == "540pt"
            assert len(data) < 150_000
            assert b"<dc:date>" not in data and b"Matplotlib v" not in data


def test_thirty_seeds_and_a_hundred_epochs_stay_small() -> None:
    found = samples.decided((*samples.DECIDED, *samples.DECIDED, *samples.DECIDED))
    dense = samples.measurements(found[0], every=1)
    files = render(found[0], dense, *found[2:])
    assert max(len(data) for name, data in files.items() if name.endswith(".svg")) < 150_000


def test_same_inputs_same_bytes(decided: dict[str, bytes]) -> None:
    assert render(*samples.decided()) == decided


def test_same_bytes_in_another_process_with_another_matplotlibrc(decided: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 30\nsvg.fonttype: none\n")
    program = (
        "import hashlib, json, sys, verdict_samples as s\n"
        "from harness.verdict import load_in_parts, render\n"
        "assert sum(1 for _ in load_in_parts()) == 3 and 'matplotlib.figure' in sys.modules\n"  # as beside a card
        "print(json.dumps({k: hashlib.sha256(v).hexdigest() for k, v in render(*s.decided()).items()}))"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "4711",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {name: hashlib.sha256(data).hexdigest() for name, data in decided.items()}


def test_matplotlib_is_left_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(*samples.margin(REAL))
    assert dict(matplotlib.rcParams) == before


def test_torch_is_not_loaded() -> None:
    program = (
        "import sys, harness.verdict, harness.claims; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_json_holds_every_number(decided: dict[str, bytes]) -> None:
    fixed, _, judged, provenance, moved = samples.decided()
    found = json.loads(decided["verdict.json"])
    assert Decision.model_validate(found["decision"]) == judged
    assert found["provenance"] == provenance.model_dump(
        mode="json", exclude={"undrawn", "tried"}
    )  # said where there are any
    assert found["consequences"] == {name: item.model_dump(mode="json") for name, item in moved.items()}
    assert (found["outcome"], found["hypothesis"], found["registration"]) == (
        "confirmed",
        fixed.hypothesis.id,
        "ab" * 32,
    )
    assert found["estimates"]["reference"]["values"][3]["value"] == judged.guards[0].estimand.values[3].value


def test_numbers_in_the_text_are_the_records() -> None:
    args = samples.margin(REAL)
    text, part = page(told(*args)), args[2].decisions[0]
    mean, low, high = re.search(r"is \*\*([\d.]+) pp\*\*, 90% interval ([\d.]+) to ([\d.]+) pp", text).groups()  # type: ignore[union-attr]
    assert [float(mean), float(low), float(high)] == pytest.approx([part.estimand.mean, *part.interval], abs=0.005)
    assert 'The decision\'s p is the largest of those outside "real": p = .0023.' in text
    rows = dict(re.findall(r"^\| (\d+) \| \d+ \| ([\d.]+) \|$", text, flags=re.MULTILINE))
    assert {int(index): float(value) for index, value in rows.items()} == dict(enumerate(REAL))
    for atom in part.atoms:
        (p, rejected) = re.search(rf"\| {atom.outcome} \| [^|]* \| (.*) \| (.*) \|\n", text).groups()  # type: ignore[union-attr]
        assert rejected == ("yes" if atom.rejected else "**no**")
        assert p == "< 1e-6" if atom.p < 1e-6 else float(p.replace("> .99", "1")) == pytest.approx(atom.p, rel=0.05)
    trained = [r.metrics["test_accuracy"].values["value"][-1][0] for r in args[1].replicas if r.arm == "vanilla"]
    shown = re.search(r"\| Vanilla DFA \| 5 \| ([\d.]+) ± ([\d.]+) \|", text)
    assert shown is not None and float(shown[1]) == pytest.approx(sum(trained) / 5, abs=0.0006)
    assert "    artifact |5| partial |25| real [28.88 *30.62* 32.36]" in text


def test_inconclusive_names_what_blocks_and_how_many_seeds() -> None:
    text = page(told(*samples.margin(OPEN, boundary=25.0, seeds_needed=13, seeds_needed_pessimistic=27)))
    assert '**The outcome is inconclusive: the prediction, "real", was neither shown nor excluded.**' in text
    assert 'own band is .12; the boundary that blocks a decision is 25 pp. Not excluded: "partial" and "real".' in text
    assert "About 13 seeds in all" in text and "27 with the standard deviation" in text
    assert "partial [24.82 |25| real *27.40* 29.98]" in text


def test_other_outcome_than_predicted() -> None:
    text = page(told(*samples.margin((2.0, 1.5, 2.2, 1.9, 2.4))))
    assert '**The outcome is "artifact"; the prediction, "real", was not borne out.**' in text
    assert (
        "| scale-collapse | Vanilla DFA lets the residual stream grow without bound. | **falls**: walked back |" in text
    )
    assert "separable ways. | **comes into question**: it stands on scale-collapse |" in text


def test_invalid_by_guard() -> None:
    fixed, measured, judged, provenance, moved = samples.decided()
    guard = samples.guard(tuple(4e-10 for _ in range(10)), "violated").model_copy(
        update={"p": 1.0, "p_reverse": 2**-10}
    )
    invalid = judged.model_copy(update={"outcome": "invalid", "guards": (guard,), "p": None})
    text = page(told(fixed, measured, invalid, provenance, moved))
    assert "**The outcome is invalid: the run cannot answer the question" in text
    assert "| 4.00e-10 | 0 of 10 | exact sign test, p = 1, α = .05 | **violated** |" in text
    assert "(reverse test: p = .00098). The BP gradient is at the floor" in text
    assert "**That would be this decision by itself; the guards or the seeds say otherwise.**" in text
    assert "That would be this decision" not in page(told(fixed, measured, judged, provenance, moved))


def test_diverged_seeds() -> None:
    values = (26.0, 31.0, None, 29.0, 27.0, 25.5)
    files = render(*samples.margin(values, lost=(("penalized", 2),)))
    text = page(files)
    assert "| Penalized DFA | 1 of 6 | 2 | 16.7% (2.5% to 55.6%) |" in text
    assert "over 5 of the 6 seeds is" in text
    assert "| Penalized DFA | 6, 1 diverged | 0." in text and "(n = 5)" in text
    assert re.search(r"^\| 2 \| \d+ \| diverged \|$", text, flags=re.MULTILINE)


def test_all_seeds_diverged() -> None:
    lost = tuple((arm, index) for arm in samples.ARMS for index in range(3))
    changes = {"status": "diverged", "outcome": "invalid", "atoms": (), "interval": None, "p": None, "alive": ()}
    files = render(*samples.margin((None, None, None), lost=lost, **changes))
    text = page(files)
    assert "No seed gave a finite value." in text and "figures/margin.svg" not in files
    assert "| Vanilla DFA | 3, 3 diverged | – |" in text


def test_one_seed() -> None:
    changes = {"status": "too_few", "outcome": "inconclusive", "atoms": (), "interval": None, "p": None}
    text = page(render(*samples.margin((26.0,), **changes)))
    assert "over 1 seed is **26.0 pp**." in text and "|25| real *26.0*" in text
    assert "| Part |" not in text


def test_a_pilot_names_no_outcome() -> None:
    files = render(*samples.margin(REAL, pilot=True))
    text = page(files)
    assert text.splitlines()[2].startswith("> **PILOT — never an outcome.**")
    assert "The outcome is" not in text and "earlier claims" not in text and "step by step" not in text
    assert "| Epochs | 2 trained, 100 registered |" in text
    assert "scaled down to try the set-up: 5 where the file asks for 10 seeds, trained for 2 epochs." in text
    assert "Hypothesis `mode2-direction`, run" in text and "| Registration | none: a pilot |" in text
    assert not re.search("Deviations|None was found|reverdict|decided outcome|Why this many", text)
    found = json.loads(files["verdict.json"])
    assert (found["pilot"], found["outcome"], found["decision"], found["consequences"]) == (True, None, None, {})
    full = render(*samples.margin(REAL))
    for name in files:
        if name.endswith(".svg"):
            assert "PILOT — never an outcome" in files[name].decode() and "PILOT" not in full[name].decode()


def test_several_decisions() -> None:
    found = samples.hypothesis(
        estimands=samples.hypothesis().model_dump()["estimands"] | samples.MARGIN["estimands"],
        decisions=samples.hypothesis().model_dump()["decisions"] | samples.MARGIN["decisions"],
        combine={
            "rule": "all",
            "holds": {"direction": ["confirmed"], "margin": ["real"]},
            "outcome": "confirmed",
            "otherwise": "rejected",
        },
    )
    fixed = samples.registered(found, 5)
    parts = (
        samples.band_decision(found, "direction", samples.estimand("direction", samples.DECIDED[:5], samples.TITLE)),
        samples.band_decision(found, "margin", samples.estimand("margin", REAL, "margin", "pp")),
    )
    judged = samples.decision(found, *parts, combination="All of them must hold, and all hold.", p=0.00234)
    files = render(fixed, samples.measurements(fixed), judged, samples.provenance(), samples.moves(found))
    text = page(files)
    assert {"figures/direction.svg", "figures/margin.svg"} <= set(files)
    assert "### direction: confirmed" in text and "### margin: real" in text
    assert "### Together\n\nAll of them must hold, and all hold. (p = .0023)" in text
    head = text.split("## The question")[0]
    assert "\n- margin, margin: 30.62 pp, 90% interval 28.88 to 32.36 pp; **real**\n" in head
    assert "\n- direction, cosine of" in head

    said = judged.model_copy(update={"outcome": "inconclusive", "combination": "All hold (largest p = 0.00234)."})
    text = page(told(fixed, samples.measurements(fixed), said, samples.provenance(), samples.moves(found)))
    assert "### Together\n\nAll hold (largest p = 0.00234).\n" in text
    assert '**The outcome is inconclusive: the prediction, "confirmed", was not shown.**' in text


def test_one_arm_only() -> None:
    text = page(render(*samples.decided(arms=("penalized",))))
    assert "10 seeds in one arm." in text


def test_metrics_without_a_finite_value_are_left_out() -> None:
    fixed, measured, judged, provenance, moved = samples.margin(REAL)
    empty = []
    for replica in measured.replicas:
        series = replica.metrics["hidden_norm"]
        values = {key: tuple(tuple(None for _ in row) for row in rows) for key, rows in series.values.items()}
        metrics = {**replica.metrics, "hidden_norm": series.model_copy(update={"values": values})}
        empty.append(replica.model_copy(update={"metrics": metrics}))
    files = render(fixed, measured.model_copy(update={"replicas": tuple(empty)}), judged, provenance, moved)
    assert "figures/hidden_norm-layers.svg" not in files and "figures/gradient_norm-layers.svg" in files


def test_warnings_for_the_reader() -> None:
    fixed, measured, judged, _, moved = samples.margin(REAL)
    data = {"digits": measured.data["digits"].model_copy(update={"canonical": False, "origin": "a JPEG copy"})}
    provenance = samples.provenance(
        deviations=("The bands were amended after a run.",), hand_picked_seeds=True, dirty=True, dirty_digest="f" * 64
    )
    text = page(told(fixed, measured.model_copy(update={"data": data}), judged, provenance, moved))
    head, rest = text.split("## The question")
    assert (
        "deviated from its registration" in head
        and "hand-picked" in head
        and "not known to be the official files of digits" in head
    )
    assert "- The bands were amended after a run." in rest
    assert "5 seeds, **hand-picked**" in rest and "**NON-CANONICAL" in rest and "**with uncommitted changes**" in rest


def test_nothing_deviates_is_said(decided: dict[str, bytes]) -> None:
    assert "## Deviations\n\nNone was found: file, claims, code and data" in page(decided)
    assert "2 started: 1 aborted, 1 finished." in page(decided)
    assert "| fedcba987654 | 2026-04-01T09:00:00Z | aborted | – | disk full |" in page(decided)


def test_earlier_pilots_are_prior_data(decided: dict[str, bytes]) -> None:
    assert "prior data too" not in page(decided)
    fixed, measured, judged, provenance, moved = samples.decided()
    pilots = tuple(Attempt(run=f"{i:012x}", status="pilot", started="2026-03-30T08:00:00Z") for i in range(2))
    more = provenance.model_copy(update={"attempts": (*pilots, *provenance.attempts)})
    text = page(told(fixed, measured, judged, more, moved))
    assert "+5.5 pp over vanilla. The ledger holds 2 pilot runs of this hypothesis: they are prior data too.\n" in text


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("none", "none exist"),
        ("exists_unseen", "they exist and nobody had looked"),
        ("summaries_seen", "summaries had been seen"),
        ("analysed", "they had been analysed"),
    ],
)
def test_what_only_the_author_can_say_is_told_as_the_authors_word(level: str, said: str) -> None:
    fixed, measured, judged, provenance, moved = samples.decided()
    seen = fixed.hypothesis.prior_data_seen.model_copy(update={"level": level})
    seeds = fixed.hypothesis.seeds.model_copy(update={"justification": "Ten are enough."})
    form = fixed.hypothesis.model_copy(update={"prior_data_seen": seen, "seeds": seeds})
    text = page(told(fixed.model_copy(update={"hypothesis": form}), measured, judged, provenance, moved))
    assert f"- **Earlier data** on this question: the author declares that {said}." in text
    assert "Why this many, as the author says: Ten are enough." in text
    assert "**What it means**, in the words of the registration: " in text


def test_the_page_says_of_time_and_attempts_what_the_ledger_holds(decided: dict[str, bytes]) -> None:
    text = page(decided)
    assert "Every start of this hypothesis that this ledger held when the verdict was written" in text
    for unmeasured in ("before the data", "git ignores", "never trained"):
        assert unmeasured not in text


def test_where_it_comes_from_and_how_to_check(decided: dict[str, bytes]) -> None:
    text = page(decided)
    code = "harness 0.1.0, code SHA-256 `9f9f9f9f9f9f`, of which that commit holds none"
    assert f"| Code | project commit `{'ef' * 20}`, unchanged; {code} |" in text
    assert "    harness run hypotheses/mode2-direction.yaml  # the training again" in text
    assert "The criterion `t` assumes: seeds are independent" in text and "Its source: Student 1908" in text
    assert "30 files were written to `weights/` in the run's folder on the machine that ran it" in text


def test_provenance_without_a_code_digest_is_printed_as_before() -> None:
    fixed, measured, judged, _, moved = samples.margin(REAL)
    files = told(fixed, measured, judged, samples.provenance(code=""), moved)
    assert "code SHA-256" not in page(files) and "code" not in json.loads(files["verdict.json"])["provenance"]


def test_arms_look_different_without_colour() -> None:
    looks = [choose_line_style(index) for index in range(30)]
    assert looks[0]["linestyle"] == "solid"
    assert len({(look["linestyle"], look["marker"]) for look in looks}) == len(looks)


EVIL = "{{ 7*7 }} {% for %} <script>x</script> a|b `c` $d$ *e* _f_ \n\n## g [h](http://i.example) <!-- -->"


def test_hostile_text_stays_text() -> None:
    found = samples.hypothesis()
    arms = {
        name: {**arm.model_dump(), "label": f"{EVIL} {name} " + "long " * 30, "setup": samples.SETUP}
        for name, arm in found.arms.items()
    }
    says = {name: {**implied.model_dump(), "says": EVIL} for name, implied in found.implications.items()}
    args = samples.decided(title=EVIL, question=EVIL, rationale=EVIL, implications=says, arms=("vanilla", "penalized"))
    evil = args[0].hypothesis.model_copy(
        update={"arms": samples.hypothesis().model_validate({**found.model_dump(), "arms": arms}).arms}
    )
    fixed = args[0].model_copy(update={"hypothesis": evil})
    provenance = samples.provenance(command=EVIL, deviations=(EVIL,), device=EVIL, packages={EVIL: EVIL})
    judged = args[2].model_copy(update={"warnings": (EVIL,), "summary": EVIL})
    files = render(fixed, args[1], judged, provenance, args[4])
    text = page(files)
    assert "49" not in text.split("\n")[0]
    flat = " ".join(EVIL.split())
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    heading = tokens[1].children or []
    assert "".join(child.content for child in heading) == f"Hypothesis: {flat}"
    html = {token.content.strip() for token in tokens if token.type == "html_block"}
    assert html == {
        "<details><summary>Values per seed</summary>",
        "<details><summary>Numbers per layer</summary>",
        "</details>",
    }
    kinds = {child.type for token in tokens for child in token.children or []}
    assert "html_inline" not in kinds
    assert [token.content for token in tokens if token.type == "inline" and "g \\[h" in token.content]
    assert not [
        child
        for t in tokens
        for child in t.children or []
        if child.type == "link_open" and "i.example" in str(child.attrs)
    ]
    widths: Any = None
    for line in text.splitlines():  # every table row has as many cells as its head
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert widths is None or cells is None or cells == widths, line
        widths = cells
    for name, data in files.items():
        if name.endswith(".svg"):
            ElementTree.fromstring(data)


def test_a_template_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "verdict.md.j2").write_text("{{ decision.outcome }}: {{ decision.p | p }}\n")
    assert page(render(*samples.margin(REAL), Form(tmp_path, figures=False))) == "real: .0023\n"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ decision.p }}", "printed without a filter"),
        ("{% if %}", "Expected an expression"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        (None, "verdict.md.j2"),
    ],
)
def test_a_template_that_does_not_fit(tmp_path: Path, template: str | None, says: str) -> None:
    if template is not None:
        (tmp_path / "verdict.md.j2").write_text(template)
    with pytest.raises(HarnessError, match=r"cannot be filled") as caught:
        fill("verdict.md.j2", {"decision": samples.margin(REAL)[2]}, tmp_path)
    assert says in str(caught.value) and caught.value.remedy


def test_templates_are_found() -> None:
    assert (default_templates() / "verdict.md.j2").is_file()


def test_consequences_of_every_outcome_are_needed() -> None:
    args = samples.margin(REAL)
    with pytest.raises(HarnessError, match="artifact"):
        render(*args[:4], {"real": Consequences()})


# What repeats stands once, and says what differs


EXPLAINED = (
    "assumes: seeds are independent",
    "How to read",
    "A second opinion, which decides nothing",
    "A standardised effect is the difference",
    "need not mean a decision",
    "The outcome rests on the test alone",
)


def test_what_several_decisions_share_is_explained_once() -> None:
    one, three = (page(told(*samples.alike(count))) for count in (1, 3))
    for text in EXPLAINED:
        assert one.count(text) >= 1 and three.count(text) <= one.count(text) + (text == "How to read"), text
    assert three.count("| first | real |") == three.count("| third | real |") == 1  # all in one table
    assert three.count("Standardised effect (Hedges' g") == 3


def test_a_p_value_reads_alike_in_tables_and_sentences() -> None:
    fixed, measured, judged, provenance, moved = samples.margin((31.2, 31.1, 31.3, 31.0, 31.4), steps=("One.",))
    text = page(told(fixed, measured, judged.model_copy(update={"summary": "It is so (p < 1e-6)."}), provenance, moved))
    assert "It is so (p < 1e-6)." in text and " | < 1e-6 | yes |" in text
    assert not re.search(r"&lt;|e-0\d| p = 0\.|α = 0\.", text)


def test_the_arms_own_settings_are_told_by_what_differs() -> None:
    found = samples.hypothesis()
    arms = {name: arm.model_dump(mode="json") for name, arm in found.arms.items()}
    _, second, third = arms
    arms[second]["setup"]["optimizer"]["lr"] = 0.5
    arms[second]["setup"]["batch_size"] = 7
    arms[third]["setup"]["evaluation"]["metrics"] = ["test_accuracy"]
    fixed, measured, judged, provenance, moved = samples.decided()
    other = fixed.hypothesis.model_validate({**found.model_dump(mode="json"), "arms": arms})
    files = told(fixed.model_copy(update={"hypothesis": other}), measured, judged, provenance, moved)
    table = page(files).split("## How it was trained")[1].split("## Where it comes from")[0]
    assert "| Own settings |" in table and "| lr: 0.5; Batch size: 7; Measured: test\\_accuracy, " in table
    assert re.search(r"\| Optimizer \| adamw: weight decay [^|]*schedule cosine \(lr: see the arms\) \|", table)
    assert "| Batch size |" not in table and table.count("weight decay") == 1
    assert table.count("Measured: test\\_accuracy |") == 1


def test_labels_are_told_where_an_arm_changes_them_and_nowhere_else() -> None:
    found = samples.hypothesis()
    arms = {name: arm.model_dump(mode="json") for name, arm in found.arms.items()}
    first, second, *_ = arms
    fixed, measured, judged, provenance, moved = samples.decided()
    assert "Labels" not in page(told(fixed, measured, judged, provenance, moved))
    arms[first]["setup"]["labels"] = {"name": "shuffled"}
    arms[second]["setup"]["labels"] = {"name": "noisy", "share": 0.25}
    other = found.model_validate({**found.model_dump(mode="json"), "arms": arms})
    files = told(fixed.model_copy(update={"hypothesis": other}), measured, judged, provenance, moved)
    table = page(files).split("## How it was trained")[1].split("## Where it comes from")[0]
    assert "| Labels: shuffled |" in table and "| Labels: noisy, share 0.25 |" in table
    assert table.count("| Labels: original |") == len(arms) - 2
    everywhere = {name: arm | {"setup": arm["setup"] | {"labels": {"name": "random"}}} for name, arm in arms.items()}
    other = found.model_validate({**found.model_dump(mode="json"), "arms": everywhere})
    files = told(fixed.model_copy(update={"hypothesis": other}), measured, judged, provenance, moved)
    assert "| Labels | random |" in page(files) and "| Own settings |" not in page(files)


def test_a_logarithm_is_told_as_a_ratio_on_the_page() -> None:
    fixed, measured, judged, provenance, moved = samples.margin(REAL)
    plain = fixed.hypothesis.model_dump(mode="json")
    plain["estimands"]["margin"] |= {"transform": "log10", "unit": "raw", "metric": {"name": "train_loss"}}
    plain["exploratory"]["loss"] = plain["estimands"]["margin"]
    logged = fixed.hypothesis.model_validate(plain)
    values = (0.5, 0.45, 0.55, 0.5, 0.52)
    result = samples.estimand("margin", values, "log10 of training loss", "log10")
    part = judged.decisions[0].model_copy(update={"estimand": result, "interval": (0.4, 0.6)})
    beside = result.model_copy(update={"name": "loss"})
    told = judged.model_copy(update={"decisions": (part,), "exploratory": (beside,)})
    text = page(render(fixed.model_copy(update={"hypothesis": logged}), measured, told, provenance, moved))
    assert "That is a ratio of 3.19 (2.51 to 3.98)." in text
    assert re.search(r"\| log10 of training loss \| 0\.504\d* \(log10\), a ratio of 3\.19\d* \(\d", text)


def test_what_differs_in_words_only_is_one_line_and_no_banner() -> None:
    fixed, measured, judged, _, moved = samples.margin(REAL)
    text = page(told(fixed, measured, judged, samples.provenance(words="the template verdict.md.j2"), moved))
    assert "deviated from its registration" not in text
    known = "None was found in code that is meant to train, measure or judge. "
    known += "What differs from the registration is meant for words"
    assert f"{known} only: the template verdict.md.j2.\n" in text
    both = samples.provenance(words="the template verdict.md.j2", deviations=("The data differ.",))
    text = page(told(fixed, measured, judged, both, moved))
    assert "deviated from its registration" in text
    assert "- The data differ.\n- besides, in what is meant for words only: the template verdict.md.j2\n" in text


def test_one_of_something_is_written_as_one() -> None:
    fixed, measured, judged, _, moved = samples.margin(REAL)
    data = {name: record.model_copy(update={"train": 50_000, "test": 1}) for name, record in measured.data.items()}
    one = measured.model_copy(
        update={"pilot": True, "data": data, "seeds": measured.seeds[:1], "epochs": dict.fromkeys(measured.epochs, 1)}
    )
    text = page(render(fixed, one, judged, samples.provenance(cohorts=(1,)), moved))
    for said in (
        "trained for 1 epoch. Its",
        " 1 seed in each of",
        "1 pilot seed, of",
        "50,000 training images and 1 test image;",
        "| Cohorts | 1 replica, each",
    ):
        assert said in text, said
    assert not re.search(r"\b1 (?:\w+ )?(?:seeds|epochs|replicas|images)\b", text)


def test_what_is_evaluated_after_every_epoch_is_said_so_and_stored_pages_keep_their_words() -> None:
    plain = samples.hypothesis()
    for arm in plain.arms.values():
        assert arm.setup.evaluation.every_epochs > 1
    evaluation = plain.arms["vanilla"].setup.evaluation.model_copy(update={"every_epochs": 1})
    arms = {
        name: arm.model_copy(update={"setup": arm.setup.model_copy(update={"evaluation": evaluation})})
        for name, arm in plain.arms.items()
    }
    often = plain.model_copy(update={"arms": arms})
    measured = samples.measurements(samples.registered(often), every=1)
    assert dict(tables.tabulate_settings(often, measured)[0])["Evaluated"] == "after every epoch"
    before = dict(tables.tabulate_settings_before(often, measured)[0])["Evaluated"]
    assert before == "after epoch 1, every 1 epochs and the last"


def test_a_figure_is_told_in_numbers_as_people_write_them() -> None:
    found = samples.decided()
    part = found[2].decisions[0].model_copy(update={"interval_level": 1 - 0.1 / 3})
    figure = draw_bands(part, found[0].hypothesis.decisions[part.name], 0.1, pilot=False)
    assert figure is not None
    assert ", 96.7% interval" in figure.alt and ", 96.6667% interval" in figure.told_before
