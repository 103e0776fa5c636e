"""Whether weights fill a model: libraries make up what a file lacks and drop what it holds beside.

Libraries only warn of both, nobody reads it, and then random numbers judge or generate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from invdpo.schemas.errors import ModelError

COMPUTED = re.compile(r"(?:^|\.)(?:position_ids|rotary_emb\.inv_freq|num_batches_tracked)$")
"""Buffers that older versions of the libraries saved, and that all of them compute."""
OTHER_TOWER = re.compile(r"^(?:vision_model|visual_projection|text_projection|logit_scale)\b")
"""What a complete CLIP holds beside its text encoder."""
NAMED = 3
"""Keys that an error names."""


def check_loaded(source: object, info: Mapping[str, Any], model: object = None) -> None:
    """Raise `ModelError`, with number and first keys, unless weights and model are of one form.

    Args:
        source: File, folder or name that the error begins with.
        info: What `from_pretrained(output_loading_info=True)` gives beside the model: missing,
            unexpected and mismatched keys, from which libraries have taken tied weights.
        model: The loaded model; only its class is looked at.
    """
    ignored = [COMPUTED, *([OTHER_TOWER] if type(model).__name__.startswith("CLIPText") else [])]
    extra = [key for key in info["unexpected_keys"] if not any(p.search(key) for p in ignored)]
    missing = [key for key in info["missing_keys"] if not COMPUTED.search(key)]
    misfits = [key if isinstance(key, str) else key[0] for key in info.get("mismatched_keys", ())]
    _refuse(source, "lacks", missing)
    _refuse(source, "has in another shape:", misfits)
    _refuse(source, "has additional tensors:", extra)


def _refuse(source: object, what: str, keys: Iterable[str]) -> None:
    if names := sorted(keys):
        listed = ", ".join(names[:NAMED])
        raise ModelError(
            f"{source}: {what} {listed} ({len(names)} in all). Give the complete weights of "
            "exactly this architecture."
        )
