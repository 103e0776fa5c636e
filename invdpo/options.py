"""Every field of the configuration as a flag: name, help, default and choices from one place.

Values pass as text to the configuration, which checks them together with those of the files, so
that all errors are reported at once.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from invdpo.schemas.config import Config
from invdpo.schemas.config.section import Section, marks
from invdpo.schemas.errors import DocumentError
from invdpo.schemas.io.documents import read_json

METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", tuple: "A,B,...", dict: "NAME=NUMBER"}


@dataclass(frozen=True)
class Flag:
    """One field of one section, and what the command line calls it."""

    section: str
    field: str
    name: str
    """Name of the parameter; with dashes that of the flag."""
    info: FieldInfo

    @property
    def hidden(self) -> bool:
        """Whether it is an older name for what another flag says, and so not in the help."""
        return bool(marks(self.info).get("hidden"))

    @property
    def takes_list(self) -> bool:
        """Whether it may be given more than once."""
        return self.kind in (tuple, dict) or "several" in marks(self.info)

    @cached_property
    def kind(self) -> Any:
        """The field's plain type: int, float, str, bool, tuple, dict or a Literal."""
        return _plain(self.info.annotation)

    @property
    def option(self) -> str:
        """As typed: `--num-prompts`; that of a mapping is singular, `--weight composition=1`."""
        dashed = self.name.replace("_", "-")
        if self.kind is dict:
            return f"--{dashed.removesuffix('s')}"
        return f"--{dashed}/--no-{dashed}" if self.kind is bool else f"--{dashed}"

    def parameter(self) -> inspect.Parameter:
        """The flag for Typer; None or an empty list means that it was not given."""
        default = self.info.default
        help_text = f"{self.info.description}" + ("" if default is None else f" [{_text(default)}]")
        option = typer.Option(
            self.option,
            help=help_text,
            metavar=self._metavar(),
            show_default=False,
            hidden=self.hidden,
        )
        python_type: Any = list[str] if self.takes_list else bool if self.kind is bool else str
        alias: Any = Annotated  # filled in at run time, so no type that a checker can read
        kind = inspect.Parameter.KEYWORD_ONLY
        annotation = alias[python_type | None, option]
        return inspect.Parameter(self.name, kind, default=None, annotation=annotation)

    def _metavar(self) -> str | None:
        if self.kind is bool:
            return None
        own: str | None = marks(self.info).get("several")
        return own or METAVARS.get(self.kind) or _choices(self.kind)

    def value(self, given: Any) -> Any:
        """What the configuration is given; `none` empties a field that may be empty."""
        if isinstance(given, list):
            return self._list_value(given)
        empty = str(given).lower() == "none" and NoneType in get_args(self.info.annotation)
        return None if empty else given

    def _list_value(self, given: list[str]) -> Any:
        if self.kind not in (tuple, dict) and len(given) == 1:  # may be a path that holds a comma
            return self.value(given[0])
        if "scalars" in marks(self.info):
            return {} if given == ["none"] else dict(_named_scalar(text) for text in given)
        parts = [part.strip() for text in given for part in text.split(",")]
        parts = [] if parts == ["none"] else parts
        if self.kind is not dict:
            return parts
        pairs = (part.partition("=") for part in parts)
        return {name.strip(): number.strip() for name, _, number in pairs}


def _named_scalar(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`, the value as JSON writes it, or else a text; None where there is none."""
    name, equals, value = text.partition("=")
    try:
        return name.strip(), read_json(value, "the value") if equals else None
    except DocumentError:
        return name.strip(), value


def flags(wanted: Iterable[str]) -> list[Flag]:
    """The flags of sections, `generate`, and of single fields, `generate.model`.

    `-annotate.annotators` leaves a field out. Where two share a name, the section's name goes
    before it, but for a field that is the only one of its name to stand there by itself.
    """
    entries = list(wanted)
    fields = [
        (section, field, info, bool(only))
        for section, _, only in (entry.partition(".") for entry in entries if entry[0] != "-")
        for field, info in section_class(section).model_fields.items()
        if only in ("", field) and f"-{section}.{field}" not in entries
    ]
    counts = Counter(field for _, field, _, _ in fields)
    alone = Counter(field for _, field, _, single in fields if single)
    return [
        Flag(section, field, field if plain else f"{section}_{field}", info)
        for section, field, info, single in fields
        for plain in [counts[field] == 1 or (single and alone[field] == 1)]
    ]


def section_class(name: str) -> type[Section]:
    """The class of a section of the configuration."""
    kind = Config.model_fields[name].annotation
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        raise KeyError(name)
    return kind


def overrides(known: Sequence[Flag], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Section -> field -> value, for the flags that were given."""
    values: dict[str, dict[str, Any]] = {}
    for flag in known:
        if given.get(flag.name) not in (None, []):
            values.setdefault(flag.section, {})[flag.field] = flag.value(given[flag.name])
    return values


def _plain(annotation: Any) -> Any:
    """`Annotated[int, ...] | None` is int, `tuple[str, ...]` is tuple; a Literal stays."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return next(_plain(part) for part in get_args(annotation) if part is not NoneType)
    return annotation if origin in (None, Literal) else origin


def _choices(kind: Any) -> str:
    return "|".join(str(choice) for choice in get_args(kind))


def _text(default: Any) -> str:
    """A default as the flag would be given."""
    if isinstance(default, dict):
        return ",".join(f"{name}={number:g}" for name, number in default.items()) or "none"
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default) or "none"
    return f"{default:g}" if isinstance(default, float) else str(default)
