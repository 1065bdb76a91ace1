from __future__ import annotations

from xml.etree import ElementTree

import pytest

from harness.records import DecisionPower, GuardPower, PowerReport, PredictionPower
from harness.verdict import power

ROWS = ((0.9, 0.05, 0.05), (0.1, 0.1, 0.8), (0.0, 0.999_99, 0.000_01))


def part(**changes) -> DecisionPower:
    fields = {
        "name": "margin", "title": "accuracy, A | B − C", "unit": "pp", "criterion": "t", "alpha": 0.05,
        "bands": {"low": "(-inf, 5]", "high": "(5, inf)"}, "cuts": (5.0,), "seeds": 10, "predicted": ("high",),
        "sds": (0.5, 1.0, 2.0), "sd_source": "assumed", "draws": None, "outcomes": ("low", "high", "inconclusive"),
        "numbers": (5, 10), "effects": (4.0, 5.0, 6.0), "chances": ((ROWS, ROWS),) * 3,
        "curve_effects": (4.0, 5.0, 6.0), "curve": ROWS, "landmarks": (5.0, 6.0),
        "prediction": (
            PredictionPower(effect=6.0, where="1 sd above 5", chances=(1.0, 0.85, 0.2), seeds=(4, 9, None)),
            PredictionPower(effect=1.0, where="as asked", chances=(0.0, 0.0, 0.0), seeds=(None, None, None)),
        ),
        "by_number": ((0.9, 1.0), (0.5, 0.85), (0.1, 0.2)), "greatest": 1.0, "within": ((5.9, None),),
    }  # fmt: skip
    return DecisionPower.model_validate(fields | changes)


def report(*parts: DecisionPower, together=(0.7, 0.85)) -> PowerReport:
    return PowerReport(
        hypothesis="h",
        title="T <b>",
        predicted="high",
        seeds=10,
        decisions=parts,
        together=together,
        notes=("Assumed.",),
    )


def test_tables():
    outcomes, prediction, numbers = power.tabulate_decision(part())
    assert outcomes.rows == [
        ["5", "low", "10.0%", "10.0%", "80.0%"],
        ["6", "high", "< 0.1%", "> 99.9%", "< 0.1%"],
    ]
    assert prediction.rows[0] == ["6", "1 sd above 5", "> 99.9% (4)", "85.0% (9)", "20.0% (over 10,000)"]
    assert prediction.rows[1][2:] == ["< 0.1% (no number)"] * 3
    assert numbers.rows[1] == ["10 (registered)", "> 99.9%", "85.0%", "20.0%"]
    assert len(power.tabulate_decision(part(prediction=(), by_number=(), greatest=None, within=()))) == 1


def test_tables_under_looks():
    looked = part(looks=(5, 10), draws=10_000, seeds_trained=(9.4, 6.25))
    outcomes, prediction, numbers = power.tabulate_decision(looked)
    assert outcomes.title.startswith("Chance of each outcome, with up to 10 seeds")
    assert outcomes.heads[-1] == "seeds on average" and [row[-1] for row in outcomes.rows] == ["9.4", "6.2"]
    assert prediction.title.endswith("the look by which it is 80%") and prediction.rows[0][-1] == "20.0% (none)"
    assert [row[0] for row in numbers.rows] == ["5 (look 1 of 2)", "10 (look 2 of 2)"]
    assert any(
        "10,000 runs that end at the first look that decides" in text for text in power.describe_decision(looked)
    )
    assert power.draw_figure(report(looked)).startswith(b"<?xml")


def test_guards_are_told():
    guard = GuardPower(
        name="healthy", title="norm", unit="", side="above", threshold=1e-7, test="exact sign test", alpha=0.05,
        seeds=10, effect=2e-7, sd=1e-8, source="estimated from 5 seeds of run x", verified=0.99, violated=0.0,
    )  # fmt: skip
    said = report(part()).model_copy(update={"guards": (guard,)})
    assert power.tabulate_guards(report(part())) is None and power.describe_together(report(part())) is None
    table = power.tabulate_guards(said)
    assert table.title == "Guards, with 10 seeds, if the truth is as estimated from 5 seeds of run x"
    assert table.rows == [["healthy", "above 1e-7", "2e-7", "1e-8", "99.0%", "< 0.1%"]]
    assert "decisions and guards depend" in power.describe_together(said) and "| healthy |" in power.write_markdown(
        said
    )


@pytest.mark.parametrize(
    ("within", "said"),
    [
        (((5.9, None),), "has a chance of 80% or more if the true value is 5.9 or more."),
        (((None, -2.0), (2.0, 3.0)), "if the true value is −2 or less, or between 2 and 3."),
        ((), "has a chance of 43.0% at the very best, whatever the truth is."),
    ],
)
def test_where_the_prediction_is_likely_in_words(within, said):
    assert power.describe_decision(part(within=within, greatest=0.43))[-1].endswith(said)


def test_numbers_and_names_are_written_as_on_a_verdict():
    likely = PredictionPower(effect=-1e-8, where="1 sd above 1e-09", chances=(0.9999, 0.0001, 0.5), seeds=(4, None, 9))
    one = part(
        alpha=0.025, seeds=1, prediction=(likely,), bands={"low": "(-inf, 1e-09]", "high": "(1e-09, inf)"},
        predicted=("high", "inconclusive"),
    )  # fmt: skip
    text = power.write_markdown(report(one, part(name="other")).model_copy(update={"seeds": 1, "title": "T"}))
    assert "level .025; bands: low (−inf, 1e-9\\]; high (1e-9, inf)." in text
    assert "Hypothesis h, 1 seed; predicted: high." in text
    assert 'With 1 seed and this sd, "high" or inconclusive has a chance' in text
    assert '**Chance of "high" or inconclusive with 1 seed; in brackets' in text
    assert 'the predicted outcome, "high", has a chance of' in text
    assert "| −1e-8 | 1 sd above 1e-9 | > 99.9% (4) | < 0.1% (no number) | 50.0% (9) |" in text
    assert not any(wrong in text for wrong in ("e-0", "&lt;", "&gt;", "1 seeds"))


def test_no_chance_that_was_computed_or_simulated_is_nothing_or_certain():
    cells = [cell for table in power.tabulate_decision(part()) for row in table.rows for cell in row]
    assert not any(cell.startswith(("100.0%", "0.0%")) for cell in cells)
    rare = [row for table in power.tabulate_decision(part(draws=200)) for row in table.rows]
    assert any("> 99.5%" in cell for row in rare for cell in row) and any(
        "< 0.5%" in cell for row in rare for cell in row
    )
    assert not any(bound in cell for row in rare for cell in row for bound in ("99.9%", "< 0.1%"))
    said = power.describe_together(report(part(), part(name="other"), together=(0.0, 0.2)))
    assert "has a chance of at most 20.0%, however" in said


def test_simulation_is_said():
    assert any("300 samples" in text and "2.9 points" in text for text in power.describe_decision(part(draws=300)))
    assert not any("samples" in text for text in power.describe_decision(part()))


def test_markdown_escapes_what_people_wrote():
    text = power.write_markdown(report(part()), "power.svg")
    assert text.startswith("# Before any data: T &lt;b&gt;\n")
    assert "accuracy, A \\| B − C" in text and "](power.svg)" in text
    assert "Together" not in text  # of one decision, its own chance says it all
    assert "at least 70.0% and at most 85.0%" in power.write_markdown(report(part(), part(name="other")))


def test_the_figure_is_wellformed_and_the_same_twice():
    both = report(part(), part(name="other", prediction=(), by_number=(), greatest=None, within=()))
    drawn = power.draw_figure(both)
    assert drawn == power.draw_figure(both)
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg") and root.get("width") == "540pt"
    assert b"<dc:date>" not in drawn and len(drawn) < 150_000
