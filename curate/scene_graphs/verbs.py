"""Verbs and their prepositions, as the rules over dependencies treat them."""

from __future__ import annotations

from invdpo.curate.scene_graphs.sentences import Token

AS_IT_IS = {"be": "being", "see": "seeing", "flee": "fleeing", "dye": "dyeing", "free": "freeing"}
ONE_SYLLABLE_LIKE = frozenset({"begin", "forget", "prefer", "refer", "upset", "unwrap"})
STATIC = frozenset(
    {
        "sit",
        "lie",
        "lay",
        "stand",
        "rest",
        "hang",
        "place",
        "locate",
        "position",
        "situate",
        "mount",
        "put",
        "be",
    }
)
"""Verbs that add nothing to the place they state, unless they are in progress."""
PLACING = frozenset(
    {
        "put",
        "place",
        "set",
        "lay",
        "paint",
        "draw",
        "write",
        "hang",
        "pour",
        "spread",
        "hammer",
        "throw",
        "cast",
        "shoot",
        "toss",
        "kick",
    }
)
"""Verbs whose object is where the preposition says."""
MOVING = frozenset({"into", "onto", "across", "to", "over", "from", "off", "above", "out of"})
"""Prepositions that say of a verb's object where it goes, not of its subject."""
OF_THE_VERB = frozenset({"over", "with", "against"})
"""Places that say with a verb before them how it is done, rather than where."""
TALKING = frozenset({"speak", "talk", "chat"})
"""Verbs after which no preposition states a place: speaking on the phone."""
FEELING = frozenset(
    {
        "be",
        "feel",
        "look",
        "seem",
        "appear",
        "become",
        "get",
        "stay",
        "remain",
        "stand",
        "sit",
        "lie",
        "hang",
    }
)
"""Verbs that an adjective may follow: `feeling happy`, `stood tall`."""
LEFT_OUT = frozenset({"like", "as", "during", "despite"})
"""Prepositions of remarks, which show nothing of their own."""
WHERE = frozenset({"on", "in", "at", "next to", "near", "in front of", "behind", "below", "with"})
"""Relations that say where, or with whom, something without a visible object is done."""


def gerund(token: Token) -> str:
    """The form in -ing, which predicates have: `rode` to `riding`."""
    word = token.lemma.lower()
    if token.tag == "VBG":
        return token.text.lower()
    if word in AS_IT_IS:
        return AS_IT_IS[word]
    if word.endswith("ie"):
        return f"{word[:-2]}ying"
    if word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        return f"{word[:-1]}ing"
    return f"{word}{word[-1] if _doubles(word) else ''}ing"


def _doubles(word: str) -> bool:
    """Whether the last letter is doubled: after one vowel in a word of one syllable."""
    vowels = [letter in "aeiou" for letter in word]
    ends = len(word) > 2 and vowels[-3:] == [False, True, False] and word[-1] not in "wxy"
    return ends and (sum(vowels) == 1 or word in ONE_SYLLABLE_LIKE)
