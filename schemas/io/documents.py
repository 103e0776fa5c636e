"""The one reader of YAML and JSON, for files of anyone's: bounded, and with errors in plain words.

A file of a few kilobytes can stand for one of gigabytes (YAML's aliases), or nest so deeply that a
parser runs out of stack. Both are refused while they are read, before anything is made of them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml

from invdpo.schemas.errors import DocumentError, InvdpoError
from invdpo.schemas.io.text import describe_error, format_bytes, quote, shorten

T = TypeVar("T")

MAX_YAML = 500_000
"""Bytes; YAML is written by hand, and slow to read."""
MAX_JSON = 16_000_000
"""Bytes of a JSON document; tables of a user's own may be longer."""
MAX_LISTS = 200_000_000
"""Bytes of JSON of ours that lists every row of a large set."""
MAX_DEPTH = 100
"""Lists and mappings inside one another."""
MAX_NODES = 30_000
"""Values of a YAML document, those that aliases repeat counted each time; each takes a while."""
MAX_SCALAR = 100
"""Characters of a number or date; a longer one takes minutes to compute."""
HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half of a character."""
UNFIT = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What code raises that expects other values."""
NAMES: dict[type[Any], str] = {dict: "an object", list: "a list", str: "a text"}


def read_yaml(content: str | bytes, where: object) -> Any:
    """The document. Raises `DocumentError`, naming `where`, for what is none or is too large."""
    text = _decoded(content, where, MAX_YAML)
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DocumentError(f"{where}: not YAML: {_yaml_problem(error)}.", _line(error)) from None
    finally:
        if loader is not None:
            loader.dispose()


@overload
def read_json(
    content: str | bytes,
    where: object,
    kind: type[T],
    *,
    max_bytes: int | None = MAX_JSON,
    halves: bool = False,
) -> T: ...


@overload
def read_json(
    content: str | bytes,
    where: object,
    *,
    max_bytes: int | None = MAX_JSON,
    halves: bool = False,
) -> Any: ...


def read_json(
    content: str | bytes,
    where: object,
    kind: type[Any] | None = None,
    *,
    max_bytes: int | None = MAX_JSON,
    halves: bool = False,
) -> Any:
    """The document, of a `kind` such as `dict` where one is given.

    Raises `DocumentError`, naming `where`, for what is no JSON, is of another kind, is too large,
    nests too deeply, gives a key twice, or (unless `halves`) holds half a character, which no
    file could take.
    """
    text = _decoded(content, where, max_bytes)
    try:
        value: Any = json.loads(text, object_pairs_hook=partial(_object, where))
    except RecursionError:
        raise DocumentError(_too_deep(where)) from None
    except DocumentError:
        raise
    except ValueError as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "a number is too long"
        raise DocumentError(f"{where}: not JSON: {reason}.") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise DocumentError(_too_deep(where))
    if not halves and HALF.search(text) and _has_halves(value):
        raise DocumentError(
            f"{where}: holds half of a surrogate pair (\\ud83d without the second half)."
        )
    if kind is not None and not isinstance(value, kind):
        found = NAMES.get(type(value), "something else")
        raise DocumentError(f"{where}: found {found}, expected {NAMES[kind]}.")
    return value


def _object(where: object, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, each key once: JSON silently keeps the last."""
    if len(made := dict(pairs)) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DocumentError(f"{where}: the key {quote(key)} is given twice. Leave one of them out.")
    return made


@contextmanager
def as_written(where: object) -> Iterator[None]:
    """Raise `DocumentError` for values of another form than those that invdpo writes.

    Around what reads them, so that not each single value has to be asked for its type.
    """
    try:
        yield
    except InvdpoError:
        raise
    except UNFIT as error:
        text = f"{where}: not in the form that invdpo writes ({shorten(describe_error(error))})."
        raise DocumentError(f"{text} Remake it, or set INVDPO_DEBUG=1 for details.") from error


def read_file(path: Path, max_bytes: int = MAX_JSON) -> bytes:
    """The bytes of a small file. Raises `DocumentError` for one that is not, `OSError` for none."""
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise DocumentError(_too_long(path, max_bytes))
    return content


def _decoded(content: str | bytes, where: object, max_bytes: int | None) -> str:
    """The text of a document that is not too long."""
    if not isinstance(content, str | bytes):
        raise DocumentError(f"{where}: not text; expected a document.")
    if max_bytes is not None and len(content) > max_bytes:
        raise DocumentError(_too_long(where, max_bytes))
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{where}: not UTF-8 text at byte {error.start}.") from None


def _too_long(where: object, max_bytes: int) -> str:
    return f"{where}: longer than the allowed {format_bytes(max_bytes)}."


def _too_deep(where: object) -> str:
    return f"{where}: nested more than {MAX_DEPTH} levels deep."


def _is_deep(value: Any) -> bool:
    """Whether containers nest too deeply; level by level, so that no stack is needed."""
    level, depth = [value], 0
    while level and depth < MAX_DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _has_halves(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


class _Loader(yaml.SafeLoader):
    """Counts what it builds, and refuses a repeated key, of which YAML silently keeps the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._composed = 0
        self._sizes: dict[int, tuple[int, int]] = {}
        """Node -> its values, and how deeply they nest, aliases followed."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The node as PyYAML composes it, if what it stands for is not too much."""
        alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        self._composed += 1
        event: Any = yaml.SafeLoader.peek_event  # untyped
        _refuse(self._composed > MAX_NODES, f"more than {MAX_NODES:,} values", event(self))
        _refuse(
            self._depth > MAX_DEPTH + 1, f"nested more than {MAX_DEPTH} levels deep", event(self)
        )
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None or (alias and id(node) in self._sizes):
            return node
        _refuse(alias, "an alias of a value that contains it", node)
        self._sizes[id(node)] = self._measure(node)
        return node

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif not node.tag.endswith(":str"):
            _refuse(len(node.value) > MAX_SCALAR, "a number or date that is too long", node)
        sizes = [self._sizes[id(part)] for part in inner]
        size, depth = 1 + sum(n for n, _ in sizes), 1 + max((d for _, d in sizes), default=0)
        _refuse(size > MAX_NODES, f"expands to more than {MAX_NODES:,} values", node)
        _refuse(depth > MAX_DEPTH + 1, f"nested more than {MAX_DEPTH} levels deep", node)
        return size, depth

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, each key once."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            text = "a list or mapping is used as a key; quote it if it is text"
            _refuse(not isinstance(key_node, yaml.ScalarNode), text, key_node)
            key = self.construct_object(key_node, deep=True)
            _refuse(key in seen, f"the key {quote(key)} is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _refuse(wrong: bool, problem: str, node: Any) -> None:
    if wrong:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _line(error: Exception) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else None


def _yaml_problem(error: Exception) -> str:
    """One short line of what PyYAML says in four."""
    mark = getattr(error, "problem_mark", None)
    position = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    text = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "no reason given")
    return f"{text if len(text) <= 2 * MAX_SCALAR else f'{text[:MAX_SCALAR]}…'}{position}"
