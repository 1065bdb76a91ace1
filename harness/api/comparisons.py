"""Two verdicts side by side, as texts for a terminal and a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import html

if TYPE_CHECKING:
    from harness.domain.form_differences import Difference
    from harness.pipeline.compare import Comparison, DecisionPair, Part, Side

LONGEST = 60
"""Characters of a value that are shown."""


class ComparisonView:
    """Two verdicts side by side; true if any decision of the one contradicts that of the other."""

    def __init__(self, record: Comparison) -> None:
        """Take what ``harness.pipeline.compare`` found."""
        self.record = record
        """The comparison as data."""

    @property
    def contradict(self) -> bool:
        """True if no true value is left possible by both, of any quantity that both decide on."""
        return self.record.contradict

    @property
    def conclusion(self) -> str:
        """Say in one sentence whether they contradict each other."""
        return self.record.conclusion

    @property
    def sides(self) -> list[str]:
        """Describe the two, a line each."""
        lines = [_write_side(side) for side in (self.record.first, self.record.second)]
        lines += ["both have the same seeds: they are not independent evidence"] if self.record.same_seeds else []
        called = [f"{name} is the first's {own}" for name, own in self.record.arms.items()]
        return [*lines, f"arms of the second by what is trained: {', '.join(called)}"] if called else lines

    @property
    def decisions(self) -> list[tuple[str, str, str, str, str]]:
        """List each decision: its name, its results in both, the second minus the first, and how they stand."""
        return [
            (
                _write_name(pair),
                _write_part(pair.first),
                _write_part(pair.second),
                _write_difference(pair),
                pair.why or "–",
            )
            for pair in self.record.decisions
        ]

    @property
    def settings(self) -> list[tuple[str, str, str]]:
        """List what is trained or decided otherwise: field, first, second."""
        return [_write_field(one) for one in self.record.settings]

    @property
    def circumstances(self) -> list[tuple[str, str, str]]:
        """List the circumstances that differ: field, first, second."""
        return [_write_field(one) for one in self.record.circumstances]

    @property
    def claims(self) -> list[str]:
        """Claims that they move in opposite directions, a line each."""
        does = {"supports": "supports it", "walks back": "walks it back"}
        return [
            f"{one.claim}: the first {does[one.first]}, the second {does[one.second]}" for one in self.record.claims
        ]

    def __bool__(self) -> bool:
        return self.contradict

    def __repr__(self) -> str:
        return f"<comparison of {self.record.first.run} and {self.record.second.run}: {self.conclusion}>"

    def _repr_html_(self) -> str:
        parts = [html.paragraph(line) for line in (*self.sides, self.conclusion, *self.claims)]
        parts.append(html.table(DECISIONS, self.decisions))
        for title, rows in (("setting", self.settings), ("circumstance", self.circumstances)):
            parts += [html.table((title, "first", "second"), rows)] if rows else []
        return html.section("two verdicts side by side", *parts)


def _write_name(pair: DecisionPair) -> str:
    return pair.name if pair.other_name is None else f"{pair.name} (second: {pair.other_name})"


DECISIONS = ("decision", "first", "second", "second − first", "together")
"""Heads of the table of decisions."""


def _write_side(side: Side) -> str:
    from harness.wording import format_count

    came = "as predicted" if side.outcome == side.predicted else f"predicted: {side.predicted}"
    deviates = f", {format_count(len(side.deviations), 'deviation')}" if side.deviations else ""
    return f"{side.hypothesis}, run {side.run}: {side.outcome} ({came}), {format_count(side.seeds, 'seed')}{deviates}"


def _write_part(part: Part | None) -> str:
    """Write ``partial: 18.6 (90%: 18.2 to 19.0) pp, p < 1e-6``."""
    from harness.wording import append_unit, format_number, format_p_equals, format_together, typeset

    if part is None:
        return "–"
    if part.estimate is None:
        return part.outcome
    texts = [typeset(text) for text in format_together([part.estimate, *(part.interval or ())], part.cuts, part.never)]
    level = f"{format_number(100 * part.level)}%"
    span = f" ({level}: {texts[1]} to {texts[2]})" if part.interval is not None else ""
    told = append_unit(f"{texts[0]}{span}", part.unit)
    return f"{part.outcome}: {told}" + (f", {format_p_equals(part.p)}" if part.p is not None else "")


def _write_difference(pair: DecisionPair) -> str:
    from harness.wording import RATIO_UNIT, append_unit, format_together, typeset

    if pair.difference is None or pair.first is None:
        return "–"
    texts = [typeset(text) for text in format_together([pair.difference, *(pair.difference95 or ())])]
    span = f" (95%: {texts[1]} to {texts[2]})" if pair.difference95 is not None else ""
    factor = "a factor of " if pair.first.unit == RATIO_UNIT else ""
    return append_unit(f"{factor}{texts[0]}{span}", pair.first.unit)


def _write_field(one: Difference) -> tuple[str, str, str]:
    from harness.domain.form_differences import write_value

    values = [write_value(value) for value in (one.before, one.now)]
    shown = [text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…" for text in values]
    return one.field, shown[0], shown[1]
