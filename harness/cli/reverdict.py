"""``harness reverdict``: a stored run judged again, as registered or, to see what hangs on that, otherwise."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import VerdictsOption, err, escape, open_trail_here, out, show_path, verb
from harness.errors import UsageError
from harness.wording import format_count, format_level, format_p, quote_outcome

if TYPE_CHECKING:
    from harness.pipeline.reverdict import Sensitivity


@app.command()
@verb
def reverdict(
    name: Annotated[str, typer.Argument(help="Id of a hypothesis, or the first digits of a run.", show_default=False)],
    verdicts: VerdictsOption = None,
    figures: Annotated[bool, typer.Option("--figures", help="Also draw the figures again and compare them.")] = False,
    criterion: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion", help="Sensitivity analysis: name of another criterion, or all.", show_default=False
        ),
    ] = None,
    alpha: Annotated[
        list[float] | None,
        typer.Option("--alpha", help="Sensitivity analysis: another significance level.", show_default=False),
    ] = None,
) -> None:
    """Judge a stored run again from its registration and results, and compare the bytes. Needs no GPU and no data.

    With --criterion or --alpha, show the outcomes under other criteria and levels instead. They are not the verdict.
    """
    gc.disable()  # a short process
    from harness.pipeline import code_proofs, reverdict

    trail = open_trail_here(verdicts)
    if criterion and "all" in criterion and set(criterion) != {"all"}:
        others = ", ".join(one for one in criterion if one != "all")
        message = f"{others}: has no effect beside --criterion all, which takes every criterion there is"
        raise UsageError(message, where="--criterion", remedy="leave one of the two out")
    if criterion or alpha:
        names = () if not criterion or "all" in criterion else criterion
        _print_sensitivity(reverdict.analyse_sensitivity(name, trail, names, alpha or ()))
        return
    again = reverdict.judge_again(name, trail, figures=figures)
    out.print(f"{show_path(again.folder)}: {again.outcome}", markup=False)
    if again.added:
        err.print(f"drawn now, which the run did without: {', '.join(again.added)}", markup=False)
    if again.differing:
        err.print(f"differs from what is stored: {', '.join(again.differing)}", markup=False)
        raise typer.Exit(4)
    if again.unknown:
        err.print(f"the page says what its author lets it say: {again.unknown}", markup=False)
    if again.rounded:
        err.print(f"the same but for last digits: {', '.join(again.rounded)}", markup=False)
    if code_proofs.has_other_judging_code(name, trail):
        err.print("the code that judges is not that of the run, and gave the same", markup=False)
    if again.redrawn:
        err.print(f"the same numbers, drawn otherwise here: {', '.join(again.redrawn)}", markup=False)
    if not again.rounded and not again.redrawn:
        drawn = "" if again.drawn else ", figures as the ledger names them (--figures draws them again)"
        err.print(f"the same to the byte{drawn}", markup=False)


def _print_sensitivity(found: Sensitivity) -> None:
    from rich.table import Table

    verdict = found.alternatives[0]
    out.print("[bold]Sensitivity analysis: this is not the verdict.[/bold]")
    out.print(
        f"{show_path(found.folder)}: the verdict, with what was registered, is {quote_outcome(verdict.outcome or '')}.",
        markup=False,
    )
    several = len(found.registered.hypothesis.decisions) > 1
    table = Table(box=None, pad_edge=False)
    for head in ("criterion", "tests the", "α", "needs", "outcome", "p", *(["decisions"] if several else [])):
        table.add_column(head, justify="right" if head in ("α", "needs", "p") else "left")
    for row in found.alternatives:
        if row.reason is not None:
            continue
        parts = ", ".join(f"{part.name} {part.outcome}" for part in row.decisions)
        mark = "" if row.outcome == verdict.outcome else " (another)"
        cells = [
            row.criterion,
            row.targets,
            "as registered" if row.alpha is None else format_level(row.alpha),
            format_count(row.smallest_n, "seed") if row.smallest_n is not None else "–",
            f"{row.outcome}{mark}",
            "–" if row.p is None else format_p(row.p),
            *([parts] if several else []),
        ]
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
    if barred := [row for row in found.alternatives if row.reason is not None]:
        out.print("These cannot apply:")
        for row in barred:
            at = "" if row.alpha is None else f" at α = {format_level(row.alpha)}"
            out.print(f"  {row.criterion}{at}: {row.reason}", markup=False)
    if any(row.targets != verdict.targets and row.outcome for row in found.alternatives):
        out.print(
            f"Rows that do not test the {verdict.targets} answer a neighbouring question; the answers agree where the "
            "seeds' values are symmetric.",
            markup=False,
        )
    if len(found.alternatives) == 1:
        out.print("There is nothing else to compare with: this is what was registered.")
    out.print(
        "Whoever picks a row after seeing the data has no error rate: only the registered one was promised. "
        "Nothing was written.",
        markup=False,
    )
