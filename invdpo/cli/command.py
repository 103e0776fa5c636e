"""What all commands share: how their signature is made, their configuration, and how they end."""

from __future__ import annotations

import inspect
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from invdpo.cli.help import COMMON, OPTIONS, SECTIONS, headed
from invdpo.cli.output import Output
from invdpo.options import Flag, flags, overrides
from invdpo.schemas import InvdpoError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import resolve_config
from invdpo.schemas.config.presets import preset_path
from invdpo.schemas.io.redact import without_secrets

DEBUG = "INVDPO_DEBUG"
Action = Callable[..., None]


@dataclass(frozen=True)
class Shared:
    """Flags of every command."""

    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file; overrides WORK/invdpo.yaml, and flags override it.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(
            help="A configuration that ships with invdpo, in place of WORK/invdpo.yaml.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False


@dataclass(frozen=True)
class Job:
    """One call of a command: what it was given, and where its words go."""

    out: Output
    shared: Any
    """The flags it shares with others, a `Shared` or a class derived from it."""
    given: Mapping[str, Mapping[str, Any]]
    """Section -> field -> text, as flags."""

    def config(self, *files: Path) -> Config:
        """Defaults, `files` that exist, `--config`, flags; each overrides those before.

        A preset is a whole configuration and stands in place of the files. Raises `ConfigError`.
        """
        preset = self.shared.preset
        begun = [preset_path(preset)] if preset else [path for path in files if path.exists()]
        named = [self.shared.config] if self.shared.config else []
        return resolve_config([*begun, *named], self.given)


def command(
    app: typer.Typer,
    name: str,
    *sections: str,
    example: str,
    shared: type[Shared] = Shared,
) -> Callable[[Action], Action]:
    """Enter a function as a command with the flags of these sections of the configuration.

    The function takes the `Job` and then its own parameters; the example ends its help page.
    """

    def enter(function: Action) -> Action:
        known = flags(sections)
        own = _parameters(function)[1:]
        common = _parameters(shared)

        def entry(**given: Any) -> None:
            out = Output(given["json"])
            with command_errors(out):
                mine = {parameter.name: given[parameter.name] for parameter in own}
                bundle = shared(**{field.name: given[field.name] for field in fields(shared)})
                function(Job(out, bundle, overrides(known, given)), **mine)

        parameters = [*own, *(flag.parameter() for flag in known), *common]
        _sign(entry, parameters)
        epilog = f"Example:\n\n\b\n  {example}"
        kind = headed(_headings(known, common))
        app.command(name, help=inspect.getdoc(function), epilog=epilog, cls=kind)(entry)
        return function

    return enter


def _headings(known: Sequence[Flag], common: Sequence[inspect.Parameter]) -> dict[str, str]:
    """Parameter -> heading on the help page; options of a single section need no own one."""
    several = len({flag.section for flag in known}) > 1
    found = {flag.name: SECTIONS[flag.section] if several else OPTIONS for flag in known}
    return found | {parameter.name: COMMON for parameter in common} | {"help": COMMON}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters by name, their annotations as types rather than text."""
    hints = get_type_hints(function, include_extras=True)
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in inspect.signature(function).parameters.values()
    ]


def _sign(function: Any, parameters: list[inspect.Parameter]) -> None:
    """Give a function the signature that Typer reads."""
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


@contextmanager
def command_errors(out: Output) -> Iterator[None]:
    """Turn every way a command can fail into plain lines and an exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        again = without_secrets(shlex.join(["invdpo", *sys.argv[1:]]))
        out.note(f"\nStopped. What is finished is kept. To go on from there:\n  {again}")
        raise typer.Exit(130) from None
    except Exception as error:  # noqa: BLE001 - the last place that can spare users a traceback
        if os.environ.get(DEBUG):
            traceback.print_exc()
        out.error(_plain(error), type(error).__name__)
        raise typer.Exit(1) from None


def _plain(error: Exception) -> str:
    """What an error means to a user; the unexpected ones with the way to learn more."""
    if isinstance(error, InvdpoError):
        return str(error)
    first = next(iter(str(error).splitlines()), "no reason given")
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return f"Out of memory: {first}\nTry a smaller --batch-size."
    text = without_secrets(f"{type(error).__name__}: {first}")
    return f"{text}\nThis was not foreseen. {DEBUG}=1 with the same command shows where it arose."
