"""Reading a configuration: defaults, then files, then options; all errors reported together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from invdpo.schemas.config import Config
from invdpo.schemas.config.section import Section, marks
from invdpo.schemas.errors import ConfigError, DocumentError
from invdpo.schemas.io.documents import MAX_YAML, read_file, read_yaml
from invdpo.schemas.io.text import count_noun, quote, shorten

S = TypeVar("S", bound=Section)
Values = dict[str, Any]
Origins = Mapping[tuple[str, str], str]
"""(section, key) -> the file or `options` that gave the value."""

OPTIONS = "options"
MOST_ERRORS = 50
"""Errors that are listed one by one."""


def load_config(
    path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """The defaults, changed by the YAML file at `path`, changed by `overrides` (section -> values).

    Raises `ConfigError` listing every wrong key and value together with what is allowed.
    """
    return resolve_config([path] if path else [], overrides)


def resolve_config(
    paths: Sequence[Path], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """The defaults, changed key by key by each file in turn, changed by `overrides`.

    `model_fields_set` of a section holds what somebody chose; see `_forget_defaults`. Raises
    `ConfigError` as `load_config` does, each value with the file it came from.
    """
    return resolve_with_origins(paths, overrides)[0]


def resolve_with_origins(
    paths: Sequence[Path], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Config, Origins]:
    """As `resolve_config`, and who gave each value last; the key of a whole section is empty."""
    layers = _layers(paths, overrides)
    values: Values = {}
    origins: dict[tuple[str, str], str] = {}
    for where, layer in layers:
        for section, given in layer.items():
            earlier = values.get(section, {})
            if isinstance(given, dict) and isinstance(earlier, dict):
                normal = _kind(section).normalise(given)
                values[section] = _kind(section).override(earlier, normal)
                origins |= {(str(section), str(key)): where for key in (*given, *normal)}
            elif given is not None:
                values[section] = given
            origins[str(section), ""] = where
    used = [where for where, layer in layers if layer]
    config = check(Config, values, where=used[-1] if used else OPTIONS, origins=origins)
    _forget_defaults(config, layers[0][1], {key for key, w in origins.items() if w != layers[0][0]})
    return config, origins


def _forget_defaults(config: Config, first: Values, given_later: Set[tuple[str, str]]) -> None:
    """Take defaults that only the first file gives, as a record of all options, for unchosen.

    A workspace's `invdpo.yaml` holds every option, and not those alone that somebody gave; a file
    by hand, which holds fewer than half of a section's, does mean what it says.
    """
    for name, given in first.items():
        section = getattr(config, name)
        fields = type(section).model_fields
        if isinstance(given, dict) and len(given) > len(fields) / 2:
            for key in {key for key in given if (name, key) not in given_later} & fields.keys():
                if getattr(section, key) == fields[key].default:
                    section.model_fields_set.discard(key)


def named_fields(
    paths: Sequence[Path], overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> set[tuple[str, str]]:
    """Section and field of every value that these files and overrides give.

    Of options of plug-ins also `plugins.NAME.OPTION`.
    """
    return {
        (section, key)
        for _, layer in _layers(paths, overrides)
        for section, given in layer.items()
        if isinstance(given, dict)
        for name, value in _kind(section).normalise(given).items()
        for key in _keys(str(name), value)
    }


def _keys(name: str, value: Any) -> Iterator[str]:
    yield name
    if isinstance(value, dict):
        for inner, its_value in value.items():
            yield from _keys(f"{name}.{inner}", its_value)


def _layers(
    paths: Sequence[Path], overrides: Mapping[str, Mapping[str, Any]] | None
) -> list[tuple[str, Values]]:
    """What each file gives, and last the overrides."""
    given = {name: dict(values) for name, values in (overrides or {}).items()}
    return [*((str(path), _read_yaml(path)) for path in paths), (OPTIONS, given)]


def _kind(name: object) -> type[Section]:
    """The class of a section; a plain one for a name that there isn't, which `check` refuses."""
    info = Config.model_fields.get(str(name))
    kind = info.annotation if info else None
    return kind if isinstance(kind, type) and issubclass(kind, Section) else Section


def check(section: type[S], values: Values, *, where: str, origins: Origins | None = None) -> S:
    """Validate `values`; raises `ConfigError` with one line for each error."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        details, total = error.errors()[:MOST_ERRORS], error.error_count()
    sources = [_origin(detail, where, origins or {}) for detail in details]
    lines = [_line(section, detail) for detail in details]
    if len(set(sources)) == 1:
        where = sources[0]
    else:
        where = "several sources"
        lines = [f"{line} (from {source})" for line, source in zip(lines, sources, strict=True)]
    count = "one error" if total == 1 else f"{total:,} errors"
    lines += [f"and {total - len(lines):,} more"] if total > len(lines) else []
    raise ConfigError("\n  ".join([f"{where}: {count} in the configuration.", *lines]))


def dump_config(config: Config, sections: Collection[str] | None = None) -> str:
    """YAML text that `load_config` reads back to the same configuration, or `sections` of it."""
    included = None if sections is None else set(sections)
    values = config.model_dump(mode="json", include=included)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=False)


def _read_yaml(path: Path) -> Values:
    try:
        values = read_yaml(read_file(path, MAX_YAML), path)
    except OSError as error:
        text = f"{path}: {error.strerror or error}. Give an existing YAML file."
        raise ConfigError(text) from None
    except DocumentError as error:
        raise ConfigError(str(error)) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping of sections.")
    return values


def _origin(detail: ErrorDetails, where: str, origins: Origins) -> str:
    section, key = (*(str(part) for part in detail["loc"]), "", "")[:2]
    return origins.get((section, key), origins.get((section, ""), where))


def _line(section: type[Section], detail: ErrorDetails) -> str:
    key = ".".join(shorten(str(part)) for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(_siblings(section, detail["loc"]))
        return f"{key}: unknown key; allowed: {allowed}"
    message = _allowed(detail)
    if len(detail["loc"]) == 1 and detail["type"] == "value_error":  # between fields of a section
        return "\n  ".join(f"{key}.{line}" for line in message.splitlines())
    return f"{key}: found {quote(detail['input'])}; {message[0].lower()}{message[1:]}"


def _allowed(detail: ErrorDetails) -> str:
    """Pydantic's text, in YAML's words where it uses Python's."""
    expected = {"model_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list"}
    if detail["type"] in expected:
        return f"expected {expected[detail['type']]}"
    if detail["type"] == "too_short":
        return f"expected at least {count_noun(detail['ctx']['min_length'], 'entry')}"
    return detail["msg"].removeprefix("Value error, ")


def _siblings(section: type[Section], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc[:-1]:
        inner = section.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            section = inner
    return [name for name, info in section.model_fields.items() if not marks(info).get("hidden")]
