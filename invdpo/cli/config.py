"""`invdpo config`: the configuration in force, its schema for editors, and the presets."""

from __future__ import annotations

from textwrap import indent
from typing import Annotated

import typer

from invdpo.cli.arguments import SetName, optional
from invdpo.cli.command import CommonOptions, Job, JsonOption, command

app = typer.Typer(
    help="Show the configuration, its schema and the presets.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

WorkspaceOption = Annotated[
    str | None,
    optional("--workspace", metavar="WORK", help_text="Workspace whose stored options count, too."),
]


@command(app, "show", common=CommonOptions, example="invdpo config show --workspace work")
def show(job: Job, workspace: WorkspaceOption = None, name: SetName = None) -> None:
    """Show every option, and where its value is from."""
    from invdpo.configuration import files_in_use
    from invdpo.curate.workspace import Workspace
    from invdpo.effective_config import effective_config

    if name and not workspace:
        raise typer.BadParameter("only with --workspace.", param_hint="--name")
    files = Workspace(workspace, name).config_paths if workspace else []
    own = [job.common.config] if job.common.config else []
    found = effective_config(files, job.common.preset, own)
    job.out.result(found.to_dict(), found.text())
    if workspace and not job.common.preset and not files_in_use(files, None):
        job.out.note(f"{files[0]}: not there yet, so these are the options of a new workspace.")


@command(app, "schema", common=JsonOption, example="invdpo config schema")
def schema(job: Job) -> None:
    """Print the JSON Schema of the YAML file, for editors."""
    import json

    from invdpo.config_schema import config_schema

    found = config_schema()
    job.out.result(found, json.dumps(found, indent=2))


@command(app, "presets", common=JsonOption, example="invdpo config presets")
def presets(job: Job) -> None:
    """List the configurations that ship with invdpo."""
    from invdpo.schemas.config.presets import preset_comment, preset_names

    comments = {name: preset_comment(name) for name in preset_names()}
    rows = [{"name": name, "about": text} for name, text in comments.items()]
    text = "\n\n".join(f"{name}\n{indent(about, '  ')}" for name, about in comments.items())
    job.out.result({"presets": rows}, text)
    job.out.note("To see all values of one: invdpo config show --preset NAME")
