"""What `--set` gives: `KEY=VALUE`, where a list, a mapping or a quoted text is written as JSON."""

from __future__ import annotations

import json
from typing import Any


def read_change(text: str) -> tuple[str, Any]:
    """The key and the value; other values stay text, which the configuration reads."""
    key, _, value = text.partition("=")
    return key, json.loads(value) if value.startswith(("[", "{", '"')) else value
