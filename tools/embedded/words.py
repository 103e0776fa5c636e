"""The tokenizer: CLIP's, over a vocabulary in which every word of the world is one token."""

from __future__ import annotations

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from invdpo.curate.shapes import world

LENGTH = 26
"""Tokens in a prompt. The longest caption takes 22 of them, so 4 are always padding."""
START, END, CLOSE = "<|startoftext|>", "<|endoftext|>", "</w>"


def build() -> CLIPTokenizer:
    """A byte-level BPE whose merges spell the world's words and nothing else."""
    letters = sorted(ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    # Longer words first: a merge of a short word must not break up the start of a longer one.
    for word in sorted(world.words(), key=lambda word: (-len(word), word)):
        merges += [pair for pair in _spell(word) if pair not in merges]
    tokens = [*letters, *(f"{letter}{CLOSE}" for letter in letters)]
    tokens += [START, END, *(left + right for left, right in merges)]
    vocabulary = {token: n for n, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def _spell(word: str) -> list[tuple[str, str]]:
    """The merges that build a word from the left, its last letter closed."""
    parts = [*word[:-1], word[-1] + CLOSE]
    return [("".join(parts[:n]), parts[n]) for n in range(1, len(parts))]


def split_words(tokenizer: CLIPTokenizer) -> list[str]:
    """Words of the world that are not one token; none should be."""
    return [word for word in world.words() if len(tokenizer(word)["input_ids"]) != 3]
