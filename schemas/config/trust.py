"""Whose word a value is: what a file that came with data may decide, and what only a person here.

A dataset that was pulled, copied or unpacked brings `WORK/invdpo.yaml` along. What it says of
results is taken; an address, a variable, a path, a model or a plug-in (the fields marked `LOCAL`)
is used only after somebody on this machine named it for that folder, by an option, `--config` or a
preset. Their word is remembered outside the folder, where no dataset can put one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from invdpo.schemas.config import Config
from invdpo.schemas.config.section import EMBEDDED_MODELS, Section, marks
from invdpo.schemas.errors import ConfigError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.text import quote

Key = tuple[str, str]
"""Section and field; of options of plug-ins the field is `plugins.NAME.OPTION`."""


def confirm(
    config: Config, file: Path, used: Collection[Key], named: Collection[Key], command: str = ""
) -> None:
    """Refuse what the configuration has from `file` alone and nobody here has named.

    Args:
        config: `file` changed by what was given on the command line.
        file: The configuration beside the data.
        used: The fields that this command goes by; others may name what they like.
        named: The fields that were given on the command line, which are remembered.
        command: What was typed, if `--config` can be added to it.

    Raises `ConfigError` that lists every such value, with the command that takes them.
    """
    refused = []
    for key, value in _local_values(config):
        if key in named:
            _remember(_word(file, key, value))
        elif (key[0], key[1].partition(".")[0]) in used and not _is_remembered(
            _word(file, key, value)
        ):
            refused.append(f"{'.'.join(key)}: {quote(value)}")
    if refused:
        raise ConfigError(_refusal(file, refused, command))


def _option(key: Key) -> Key:
    """The field that a value belongs to, as `used` has it."""
    return key[0], key[1].partition(".")[0]


def is_confirmed(config: Config, file: Path, sections: Collection[str]) -> bool:
    """Whether somebody here has named all that these sections have from `file`."""
    return all(
        _is_remembered(_word(file, key, value))
        for key, value in _local_values(config)
        if key[0] in sections
    )


def portable(config: Config) -> tuple[Config, list[str]]:
    """The configuration as it may travel with data, and which fields were put back to defaults.

    What decides results stays; how and where this machine works does not.
    """
    sections, dropped = {}, []
    for name, section in _sections(config):
        fields = type(section).model_fields
        stays = {key for key, info in fields.items() if _travels(marks(info))}
        changed = [k for k in fields.keys() - stays if getattr(section, k) != fields[k].default]
        dropped += [f"{name}.{key}" for key in sorted(changed)]
        defaults = {key: fields[key].default for key in changed}
        sections[name] = section.model_copy(update=defaults)
    return config.model_copy(update=sections), dropped


def _travels(own: dict[str, Any]) -> bool:
    return own.get("fingerprint") is not False or bool(own.get("travels"))


def _local_values(config: Config) -> Iterator[tuple[Key, Any]]:
    """The values that need somebody's word: those of `LOCAL` fields that are not ours anyway."""
    for name, section in _sections(config):
        for field, info in type(section).model_fields.items():
            value = getattr(section, field)
            if not marks(info).get("local") or _is_ours(value, info.default):
                continue
            if not isinstance(value, dict):
                yield (name, field), value
                continue
            for plugin, options in value.items():
                for option, its_value in options.items():
                    yield (name, f"{field}.{plugin}.{option}"), its_value


def _is_ours(value: Any, default: Any) -> bool:
    """Whether a value is the default, some entries of it, or nothing at all."""
    if isinstance(value, tuple):
        return set(value) <= set(default)
    return value in (default, None, *EMBEDDED_MODELS)


def _sections(config: Config) -> Iterator[tuple[str, Section]]:
    for name in type(config).model_fields:
        yield name, getattr(config, name)


def _word(file: Path, key: Key, value: Any) -> str:
    return content_id(_canonical_path(file), *key, value)


def _remember(word: str) -> None:
    """Keep a word as an empty file; where that fails it is asked for again, which is safe."""
    with suppress(OSError, RuntimeError):
        (_open_memory() / word).touch()


def _is_remembered(word: str) -> bool:
    try:
        return (_memory() / word).is_file()
    except (OSError, RuntimeError):
        return False


def _memory() -> Path:
    """The folder of remembered words, always of this account. Raises `RuntimeError` without one."""
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return state / "invdpo" / "confirmed"


def _open_memory() -> Path:
    folder = _memory()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _can_remember() -> bool:
    try:
        return os.access(_open_memory(), os.W_OK)
    except (OSError, RuntimeError):
        return False


def _canonical_path(file: Path) -> str:
    """The same for all ways to write a file's path."""
    return str(file) if "://" in str(file) else os.path.realpath(file)


def _refusal(file: Path, refused: Collection[str], command: str) -> str:
    """What is asked for, and how to answer."""
    first = (
        f"{file}: sets options that only you can decide on, and that you have not accepted on "
        "this machine yet:"
    )
    text = "\n  ".join([first, *refused])
    text += "\nSuch values could send your keys and files elsewhere. Check them, and give\n"
    if not command or "://" in str(file):
        return f"{text}the values that you want as options, or in a file with --config."
    taken = f"{command} --config {shlex.quote(str(file))}"
    often = "once for this folder"
    if not _can_remember():
        often = (
            "each time, as your choice can't be stored here (set XDG_STATE_HOME to a folder for it)"
        )
    return f"{text}the values that you want as options, or accept all, {often}:\n  {taken}"
