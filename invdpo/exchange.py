"""`invdpo curate card`, `export`, `import`: what is done with a data set once it is there."""

from __future__ import annotations

import typer

from invdpo.command import Job, command
from invdpo.curating import Work


def enter(app: typer.Typer) -> None:
    """Add the commands to the group `curate`."""
    command(app, "card", "dataset.license", example="invdpo curate card work")(card)


def card(job: Job, work: Work) -> None:
    """Write the data set's card anew: facts and plots; what a person wrote in it stays."""
    from invdpo.curate.card import renew_card
    from invdpo.curate.workspace import Workspace

    ws = Workspace(work)
    with ws.lock():
        path = renew_card(ws, job.config(ws.config_path).dataset)
    job.out.result({"workspace": str(work), "card": str(path)}, str(path))
