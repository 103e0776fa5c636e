"""`invdpo env`: what this machine has, for choosing settings and for reports of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from invdpo.cli.command import Job, JsonOption, command
from invdpo.schemas.io.text import format_bytes

if TYPE_CHECKING:
    from invdpo.curate.checkpoints.model_files import StoredModel
    from invdpo.environment import Device, Environment


def enter(app: typer.Typer) -> None:
    """Add the command to the command line."""
    command(app, "env", common=JsonOption, example="invdpo env")(env)


def env(job: Job) -> None:
    """Show what is installed and stored on this machine."""
    from invdpo.environment import read_environment

    environment = read_environment()
    job.out.result(environment.to_dict(), environment_text(environment))


def environment_text(environment: Environment) -> str:
    """One fact a line, under headings."""
    versions = {"python": f"{environment.python}, {environment.system}", **environment.versions}
    extras = {name: "installed" if has else "–" for name, has in environment.extras.items()}
    caches = {
        name: f"{folder}: {format_bytes(size)}"
        for name, (folder, size) in environment.caches.items()
    }
    sections = {
        "Versions": {name: text or "not installed" for name, text in versions.items()},
        "Devices": {device.name: _device(device) for device in environment.devices},
        "Extras": extras,
        "Caches": caches,
        "Presets": {name: _models(models) for name, models in environment.presets.items()},
        "Variables that are set": dict.fromkeys(environment.variables, ""),
    }
    return "\n\n".join(_section(heading, rows) for heading, rows in sections.items())


def _section(heading: str, rows: dict[str, str]) -> str:
    width = max(map(len, rows), default=0)
    lines = [f"  {name:<{width}}  {text}".rstrip() for name, text in rows.items()] or ["  none"]
    return "\n".join([heading, *lines])


def _device(device: Device) -> str:
    parts = [device.kind]
    if device.memory_bytes is not None:
        free = "" if device.free_bytes is None else f", {format_bytes(device.free_bytes)} free"
        parts.append(f"{format_bytes(device.memory_bytes)}{free}")
    return f"{'; '.join(parts)}; fast in {', '.join(device.precisions)}"


def _models(models: tuple[StoredModel, ...]) -> str:
    if not models:
        return "its models come with invdpo"
    absent = [model.name for model in models if model.bytes is None]
    if not absent:
        return f"all {len(models)} models here"
    return f"{len(models) - len(absent)} of {len(models)} models here; not: {', '.join(absent)}"
