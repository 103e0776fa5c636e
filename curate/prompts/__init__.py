"""Prompt sources, one small file each; importing this package registers them in `PROMPT_SOURCES`.

To add one, write a file with a class derived from `PromptSource` and name the file here.
"""

from invdpo.curate.prompts import file as file
from invdpo.curate.prompts import hub as hub
from invdpo.curate.prompts import scenes as scenes
from invdpo.curate.prompts import shapes as shapes
from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource, collect, split_group

__all__ = ["PROMPT_SOURCES", "Draft", "PromptSource", "collect", "split_group"]
