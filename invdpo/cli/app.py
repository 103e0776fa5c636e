"""`invdpo`: the commands. Each resolves its configuration, calls one function, shows the result."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from invdpo import __version__
from invdpo.cli import (
    config,
    curate,
    data,
    demo,
    env,
    evaluate,
    improve,
    push_pull,
    report,
    review,
    train,
)
from invdpo.console.output import guard_terminal
from invdpo.schemas.io.proxies import spare_loopback

ORDER = ("demo", "improve", "curate", "train", "eval", "report", "config", "env")


class OrderedGroup(TyperGroup):
    """Lists the commands in the order of their use, not of their definition."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help page."""
        return [name for name in ORDER if name in self.commands]


app = typer.Typer(
    cls=OrderedGroup,
    help="From a diffusion model's samples to a preference dataset to an aligned model.",
    epilog="Start with: invdpo demo",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for group in (review, data, push_pull):
    group.enter(curate.app)
app.add_typer(curate.app, name="curate")
app.add_typer(config.app, name="config")
for single in (demo, improve, train, evaluate, report, env):
    single.enter(app)


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
    """From a diffusion model's samples to a preference dataset to an aligned model."""


def main() -> None:
    """Entry point of the `invdpo` script."""
    guard_terminal()
    spare_loopback()
    app(prog_name="invdpo")
