"""`invdpo`: the commands. Each resolves its configuration, calls one function, shows the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from invdpo import __version__
from invdpo.cli import curate, data, evaluate, push_pull, report, review, train
from invdpo.cli.command import Job, command
from invdpo.schemas.io.proxies import spare_loopback

ORDER = ("demo", "curate", "train", "eval", "report")


class InOrder(TyperGroup):
    """Lists the commands as they are used, not as they were entered."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help page."""
        return [name for name in ORDER if name in self.commands]


app = typer.Typer(
    cls=InOrder,
    help="From a diffusion model's samples to a preference data set to an aligned model.",
    epilog="Start with: invdpo demo",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
review.enter(curate.app)
data.enter(curate.app)
push_pull.enter(curate.app)
app.add_typer(curate.app, name="curate")
train.enter(app)
evaluate.enter(app)
report.enter(app)


@command(app, "demo", example="invdpo demo --workspace demo")
def demo(
    job: Job,
    workspace: Annotated[Path, typer.Option(help="Folder for all it makes.")] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Only show that every step works, in seconds.")
    ] = False,
) -> None:
    """The whole path in the embedded world, in minutes."""
    from invdpo.cli.demo import run_demo

    result = run_demo(workspace, note=job.out.note, quick=quick)
    job.out.result(result.to_dict(), result.text())


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"invdpo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From a diffusion model's samples to a preference data set to an aligned model."""


def main() -> None:
    """Entry point of the `invdpo` script."""
    spare_loopback()
    app(prog_name="invdpo")
