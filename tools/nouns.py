"""Makes `curate/scene_graphs/nouns.txt` out of WordNet 3.1; prints it.

    python tools/nouns.py DICT > curate/scene_graphs/nouns.txt

DICT is the folder with WordNet's `index.sense` and `data.noun`. A thing is a noun of which one of
the first two meanings, or one that WordNet's authors met in texts, can be seen: an animal, a plant,
a body, an artefact, food, a person, a place. Words that are adjectives more often than nouns are
left out: those are what the rules must not take for part of a name.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

SEEN = {3, 5, 6, 8, 13, 15, 17, 18, 19, 20, 25, 27}
"""WordNet's files of things that can be seen; 3 holds `person` and `plant` themselves."""
NOUN, VERB, ADJECTIVES = "1", "2", ("3", "5")


class Meaning(NamedTuple):
    """One meaning of a word."""

    rank: int
    file: int
    uses: int
    """In the texts that WordNet's authors marked."""


Word = dict[str, list[Meaning]]


def main() -> None:
    """Print the notice, then a line for each noun."""
    folder = Path(sys.argv[1])
    lines = (folder / "data.noun").read_text(encoding="utf-8").splitlines()
    notice = [re.sub(r"^ +\d+ ", "", line).rstrip() for line in lines if line.startswith("  ")]
    print(*(f"# {line}".rstrip() for line in [*HEAD, *notice]), sep="\n")
    named = {word for line in lines[len(notice) :] for word in words_of(line)}
    for word, meanings in sorted(read(folder / "index.sense").items()):
        if word in named and (mark := kind(meanings)):
            print(f"{word} {mark}" if mark != "thing" else word)


HEAD = (
    "Nouns of WordNet, chosen by tools/nouns.py. After a word: `part` if it is no thing itself and",
    "may only stand before one (birthday cake), `verb` if it is a thing and a verb (bark, sail),",
    "`last` if it is a thing and an adjective, and so in a name the last word only (native).",
    "",
)


def words_of(line: str) -> list[str]:
    """The words of a line of `data.noun` that are written small: the others are names."""
    fields = line.split()
    return [word for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2] if word.islower()]


def read(path: Path) -> dict[str, Word]:
    """Word -> part of speech -> meanings, of words of plain letters."""
    words: dict[str, Word] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, rank, uses = line.split()
        word, sense = key.split("%")
        if re.fullmatch("[a-z]{2,}", word):
            part, file = sense.split(":")[:2]
            words[word][part].append(Meaning(int(rank), int(file), int(uses)))
    return words


def kind(word: Word) -> str | None:
    """`thing`, `last`, `verb` (things, too) or `part`; None for no noun."""
    nouns = word.get(NOUN, [])
    uses = total(nouns)
    as_verb = total(word.get(VERB, []))
    as_adjective = sum(total(word.get(part, [])) for part in ADJECTIVES)
    if not nouns or as_adjective > uses or (not uses and as_verb > 2):
        return None
    if any(m.file in SEEN and (m.rank <= 2 or m.uses) for m in nouns):
        if any(part in word for part in ADJECTIVES) and 4 * as_adjective >= uses:
            return "last"
        return "verb" if VERB in word and 16 * as_verb >= uses else "thing"
    return "part" if uses else None


def total(meanings: list[Meaning]) -> int:
    """How often all of them were met."""
    return sum(meaning.uses for meaning in meanings)


if __name__ == "__main__":
    main()
