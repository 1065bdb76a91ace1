"""``harness measure``: stored weights of a run, measured again without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    FormatOption,
    VerdictsOption,
    collect_settings,
    err,
    escape,
    open_session_here,
    out,
    print_json,
    verb,
    wants_json,
)
from harness.cli.run import reporting
from harness.wording import typeset

if TYPE_CHECKING:
    from harness.pipeline.measure import Remeasurement


@app.command()
@verb
def measure(
    name: Annotated[str, typer.Argument(help="Id of a hypothesis, or the first digits of a run.", show_default=False)],
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric",
            help="Metric, with parameters after a colon: credit_cosine:feedback=fresh. May be given several times.",
            show_default=False,
        ),
    ],
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="Arm to measure. Default: all for which a metric is defined.", show_default=False),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option("--epoch", help="Epoch whose weights are measured. Default: the last.", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Folder of the weights. Default: weights/ in the run's.", show_default=False),
    ] = None,
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
) -> None:
    """Measure stored weights of a run again, without training, and enter what is found as exploratory.

    The run needs weights (setup.save in its file). Its verdict stays as it is, and no claim moves.
    """
    from harness.pipeline.measure import measure_run

    as_json = wants_json(form)
    settings = collect_settings(device, data, verdicts)
    with reporting() as reporter:
        session = open_session_here(settings, reporter)
        found = measure_run(name, metric, session, arms=arm or (), epoch=epoch, weights=weights)
    out.only_tells()
    if as_json:
        print_json(
            {
                "hypothesis": found.hypothesis,
                "run": found.run,
                "results": found.body.results,
                "epochs": found.body.epochs,
                "recorded": found.recorded,
                "measurements": found.measurements.model_dump(mode="json"),
            }
        )
    else:
        _print_found(found)
    err.print(f"ledger head, worth keeping elsewhere: {found.head}", markup=False)


def _print_found(found: Remeasurement) -> None:
    """Print mean ± sd over seeds, one table per metric, and how far it agrees with what the run had measured."""
    from rich.table import Table

    from harness.metrics import parse_metric
    from harness.verdict import series
    from harness.verdict.text import format_plus_minus

    said = ", ".join(f"{arm} at epoch {epoch}" for arm, epoch in found.body.epochs.items())
    out.print(f"{found.hypothesis} {found.run}: measured again, exploratory: {said}", markup=False)
    for key in found.body.metrics:
        summary, measured = series.choose_summary(key), found.measurements
        layers, layered = series.count_layers(measured, key), parse_metric(key).layered
        arms = [arm for arm in found.arms if series.find_last_epoch(measured, arm, key) is not None]
        values = [series.collect_final_values(measured, arm, key, summary, layers) for arm in arms]
        out.print(f"{series.label_axis(key, summary)}, mean ± sd over seeds:", markup=False)
        table = Table(box=None, pad_edge=False)
        for head in (*(["layer"] if layered else []), *arms):
            table.add_column(escape(head))
        for layer in range(layers):
            cells = [typeset(format_plus_minus(*series.compute_mean_sd(of_arm[layer]))) for of_arm in values]
            table.add_row(*([str(layer)] if layered else []), *cells)
        out.print(table)
        if key in found.recorded:
            apart = found.recorded[key]
            agrees = "the same bits as" if apart == 0 else f"a relative {apart:.1e} at most from"
            out.print(f"{key}: {agrees} what the run had measured", markup=False)
    out.print(f"all numbers: objects/sha256/{found.body.results} in the trail", markup=False)
