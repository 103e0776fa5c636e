"""Files as nobody should write them, but anyone may: the same ones in every run."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from invdpo.schemas import InvdpoError

DEEP = 20_000
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "\x1b[2J\x9b31m",
    "\ud83d",
    "x" * 100_000,
    "../../etc/passwd",
    [],
    {},
    [[None]],
    {"": {"": []}},
    [1, "a", {"b": 2}],
    {"\x1b[2Jkey": 1},
)
"""What stands where something else should."""
WHOLE = (
    b"",
    b"\0",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"a": ',
    b'{"a": 1, "a": 2}',
    b'["\\ud83d"]',
    b'{"\\ud83d": "\\ud83d"}',
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"1" * 5_000,
    b"[1e999999, -0, NaN, Infinity]",
    b"\x1b[2J\x1b]0;title\x07",
    b"- " * DEEP,
    b"? " * 5_000,
    b"a: &a [*a]",
    b"a: !!python/object/apply:os.system [x]",
    b"a: 0x" + b"f" * 5_000,
    b"a: " + b"1:" * 5_000 + b"1",
    b"".join(
        b"x%d: &x%d [%s]\n" % (n, n, b",".join([b"*x%d" % (n - 1)] * 9) if n else b"1")
        for n in range(12)
    ),
)
"""Documents that are none, or far too much."""


def odd_texts(content: bytes, seed: int, number: int) -> Iterator[bytes]:
    """The documents above, and `number` damaged copies of a sound one."""
    yield from WHOLE
    yield from damaged(content, seed, number)


def damaged(content: bytes, seed: int, number: int) -> Iterator[bytes]:
    """Copies of a file that are cut, or have a few bytes changed, doubled or lost."""
    rng = random.Random(seed)
    for _ in range(number):
        start = rng.randrange(len(content) + 1)
        length = rng.choice((0, 1, 1, 4, 50))
        new = rng.randbytes(rng.choice((0, 1, 4))) if rng.random() < 0.8 else content[start:]
        cut = rng.random() < 0.1
        yield content[:start] + (b"" if cut else new + content[start + length :])


def odd_values(value: Any, seed: int, number: int) -> Iterator[Any]:
    """Copies of a value in JSON's types with one odd value, or nothing, in place of a part."""
    rng = random.Random(seed)
    for _ in range(number):
        changed = copy.deepcopy(value)
        places = list(_places(changed))
        if not places:
            return
        holder, key = rng.choice(places)
        if rng.random() < 0.15:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        yield changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(inner):
        yield value, key
        if isinstance(part, dict | list):
            yield from _places(part)


def odd_json(value: Any, seed: int, number: int) -> Iterator[bytes]:
    """JSON text of `odd_values`."""
    for changed in odd_values(value, seed, number):
        yield json.dumps(changed).encode()


def answers(call: Callable[..., object], *given: Any) -> None:
    """Call it; any error but one of ours fails the test."""
    with suppress(InvdpoError):
        call(*given)


def cases(content: bytes, value: Any = None, many: int = 25) -> Iterator[bytes]:
    """Odd files in place of a sound one, which holds `value` if it is JSON."""
    yield from odd_texts(content, 1, many)
    yield from odd_json(value, 2, many) if value else ()


def as_json(value: Any) -> tuple[bytes, Any]:
    return json.dumps(value).encode(), value
