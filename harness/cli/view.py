"""``harness view``: the trail's site on this computer, as it changes, with the attempts under way."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    VerdictsOption,
    collect_settings,
    err,
    find_hypotheses_here,
    open_trail_here,
    out,
    print_error,
    verb,
)

PORT = 8765


@app.command()
@verb
def view(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[OUT]",
            help="Folder to build in, as for harness site. Default: one that is removed at the end.",
            show_default=False,
        ),
    ] = None,
    verdicts: VerdictsOption = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this computer; 0 takes a free one.")
    ] = PORT,
    peek: Annotated[
        bool,
        typer.Option("--peek", help="Show values of attempts before their end; the ledger says that they were seen."),
    ] = False,
    title: Annotated[str, typer.Option("--title", help="Name of the site.")] = "Verdicts",
) -> None:
    """Show the site in a browser on this computer, as the trail changes, and follow attempts under way.

    Ctrl-C ends it. Values of an attempt that has not ended are prior data to whoever sees them.
    """
    from harness.pipeline.following import Follower
    from harness.site import build_site
    from harness.site.pages import make_common
    from harness.site.serving import HOST, Pages, open_server
    from harness.site.watching import Watcher

    trail, hypotheses = open_trail_here(verdicts), find_hypotheses_here()
    with ExitStack() as stack:
        site = folder or Path(stack.enter_context(TemporaryDirectory(prefix="harness-view-")))
        arguments = ["site", str(site), "--title", title]
        arguments += ["--verdicts", str(verdicts)] if verdicts is not None else []
        problems: list[str | None] = [None]
        pages = Pages(site, Follower(trail, peek=peek), make_common(title, None), lambda: problems[0])
        server = stack.enter_context(open_server(pages, port))  # before what takes long: the port may be taken
        watcher = Watcher(trail.root, hypotheses, arguments)
        stack.callback(watcher.close)
        built = build_site(site, trail, hypotheses, title, collect_settings(verdicts=verdicts))
        for problem in built.problems:
            err.print("not shown:", markup=False)
            print_error(problem)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        out.print(f"http://{HOST}:{server.server_address[1]}/", markup=False)
        out.flush()
        err.print(f"Ctrl-C ends it{'; whose values are shown, the ledger says' if peek else ''}", markup=False)
        while True:
            if (told := watcher.wait()) is not None:
                err.print(f"the pages could not be built again:\n{told}", markup=False)
            problems[0] = watcher.problem
