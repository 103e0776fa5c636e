"""What all commands share: their signature, their configuration, and how they end."""

from __future__ import annotations

import inspect
import logging
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo

from invdpo.cli.arguments import optional, require_local
from invdpo.cli.help import COMMON, OPTIONS, SECTIONS, VERBOSITY, WORDS, with_headings
from invdpo.configuration import read_config
from invdpo.console.output import Output, StreamError
from invdpo.console.verbosity import reporting
from invdpo.options import Flag, flags, overrides
from invdpo.schemas import ConfigError, InvdpoError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import resolve_config
from invdpo.schemas.interrupts import Interrupted
from invdpo.schemas.io.home import expand_home, expand_path
from invdpo.schemas.io.logs import LogSettings, log_to_file, settings
from invdpo.schemas.io.redact import without_secrets

KEYWORD = inspect.Parameter.KEYWORD_ONLY
DEBUG = "INVDPO_DEBUG"
Action = Callable[..., None]


@dataclass(frozen=True)
class CommonOptions:
    """Flags of every command."""

    config: Annotated[
        Path | None,
        optional(
            metavar="FILE",
            help_text="YAML file; overrides WORK/invdpo.yaml, and flags override it.",
        ),
    ] = None
    preset: Annotated[
        str | None,
        optional(
            metavar="NAME",
            help_text="A configuration that comes with invdpo, used instead of WORK/invdpo.yaml.",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False


@dataclass(frozen=True)
class JsonOption:
    """The flag of a command that needs no configuration."""

    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False


@dataclass(frozen=True)
class Job:
    """One call of a command: its options, and where it prints."""

    out: Output
    common: Any
    """The flags it shares with others: `CommonOptions` or a class derived from it."""
    given: Mapping[str, Mapping[str, Any]]
    """Section -> field -> text, as flags."""
    words: str
    """The call as it was typed, without secrets."""
    used: frozenset[tuple[str, str]] = frozenset()
    """Section and field of every option of this command."""

    def config(self, *files: Path) -> Config:
        """What decides the call, with the `files` beside the data; see `read_config`."""
        own_file = self.common.config
        own, command = ([own_file], "") if own_file else ([], self.words)
        return read_config(files, self.common.preset, own, self.given, self.used, command)

    def own_config(self) -> Config:
        """What this call itself says: `--config` and flags, without preset and record."""
        return resolve_config([path for path in [self.common.config] if path], self.given)


def command(
    app: typer.Typer,
    name: str,
    *sections: str,
    example: str,
    common: type[Any] = CommonOptions,
) -> Callable[[Action], Action]:
    """Add a function as a command with the flags of these sections of the configuration.

    The function takes the `Job` and then its own parameters; the example ends its help page.
    """

    def enter(function: Action) -> Action:
        known = flags(sections)
        own = _parameters(function)[1:]
        shared = _parameters(common)

        def entry(ctx: typer.Context, **given: Any) -> None:
            words = without_secrets(shlex.join(ctx.meta[WORDS]))
            out = Output(given["json"])
            # the outer one is for a log file that can't be written
            with command_errors(out), _reporting(ctx, words), command_errors(out):
                _require_text(ctx.meta[WORDS])
                paths = {p.name for p in (*own, *shared) if _names_path(p)}
                values = {n: _at_home(v) if n in paths else v for n, v in given.items()}
                arguments = {parameter.name: values[parameter.name] for parameter in own}
                options = common(**{field.name: values[field.name] for field in fields(common)})
                used = frozenset((flag.section, flag.field) for flag in known)
                function(Job(out, options, overrides(known, given), words, used), **arguments)

        context = inspect.Parameter("ctx", KEYWORD, annotation=typer.Context)
        parameters = [context, *own, *(flag.parameter() for flag in known), *shared]
        _set_signature(entry, parameters)
        epilog = f"Example:\n\n\b\n  {example}"
        cls = with_headings(_headings(known, shared))
        app.command(name, help=inspect.getdoc(function), epilog=epilog, cls=cls)(entry)
        return function

    return enter


def _reporting(ctx: typer.Context, words: str) -> AbstractContextManager[LogSettings]:
    """Say as much as the flags of all commands ask for."""
    given = {name: _at_home(value) for name, value in ctx.meta[VERBOSITY].items()}
    return reporting(words, **given)


def _headings(known: Sequence[Flag], shared: Sequence[inspect.Parameter]) -> dict[str, str]:
    """Parameter -> heading on the help page; a single section needs none of its own."""
    several = len({flag.section for flag in known}) > 1
    headings = {flag.name: SECTIONS[flag.section] if several else OPTIONS for flag in known}
    return headings | {parameter.name: COMMON for parameter in shared} | {"help": COMMON}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters as keywords, their annotations as types rather than text."""
    hints = get_type_hints(function, include_extras=True)
    return [
        parameter.replace(kind=KEYWORD, annotation=hints[parameter.name])
        for parameter in inspect.signature(function).parameters.values()
    ]


def _require_text(words: Sequence[str]) -> None:
    """Raise `ConfigError` for bytes that are no text, which few libraries take for a name."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            known = sys.getfilesystemencoding()
            way_out = "" if known == "utf-8" else ", or set PYTHONUTF8=1"
            raise ConfigError(f"{word}: not valid text in {known}. Rename it{way_out}.") from None


def _names_path(parameter: inspect.Parameter) -> bool:
    """Whether it is a path; of texts those without a flag may be one."""
    about: tuple[Any, ...] = getattr(parameter.annotation, "__metadata__", ())
    kind = parameter.annotation.__origin__ if about else parameter.annotation
    return Path in _types(kind) or any(isinstance(a, ArgumentInfo) for a in about)


def _types(kind: Any) -> Iterator[Any]:
    """A type and those that it is made of: `list[Path] | None`, `list[Path]`, `Path`, `None`."""
    yield kind
    for part in get_args(kind):
        yield from _types(part)


def _at_home(value: Any) -> Any:
    """A path with its `~` expanded; anything else as it is. Raises `ConfigError` for an address."""
    if isinstance(value, list):
        return [_at_home(part) for part in value]
    if isinstance(value, Path):
        require_local(value)
        return expand_path(value)
    return expand_home(value) if isinstance(value, str) else value


def _set_signature(function: Any, parameters: list[inspect.Parameter]) -> None:
    """Give a function the signature that Typer reads."""
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


@contextmanager
def command_errors(out: Output) -> Iterator[None]:
    """Turn every failure of a command into plain lines and an exit status."""
    try:
        yield
    except typer.BadParameter as error:
        log_to_file(str(error), __name__, logging.ERROR)
        raise
    except (typer.Exit, typer.Abort, BrokenPipeError, StreamError):
        raise
    except KeyboardInterrupt as stop:
        again = without_secrets(shlex.join(["invdpo", *sys.argv[1:]]))
        saved = f": {stop}" if isinstance(stop, Interrupted) else ""
        out.notice(f"\nStopped{saved}. Finished work is kept. To continue:\n  {again}")
        number = stop.number if isinstance(stop, Interrupted) else signal.SIGINT
        raise typer.Exit(128 + number) from None
    except Exception as error:  # noqa: BLE001 - the last chance to spare users a traceback
        if os.environ.get(DEBUG):
            traceback.print_exc()
        if not isinstance(error, InvdpoError):
            log_to_file(traceback.format_exc(), __name__, logging.ERROR)
        out.error(_message(error), type(error).__name__)
        raise typer.Exit(1) from None


def _message(error: Exception) -> str:
    """What an error means to a user; for an unexpected one, how to learn more."""
    if isinstance(error, InvdpoError):
        return str(error)
    first = next(iter(str(error).splitlines()), "no reason given")
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return f"Out of memory: {first}\nTry a smaller batch size (see --help)."
    text = without_secrets(f"{type(error).__name__}: {first}")
    if settings.file:
        return f"{text}\nThis is unexpected. The log file holds the traceback."
    return f"{text}\nThis is unexpected. Run it again with {DEBUG}=1 set to see a traceback."
