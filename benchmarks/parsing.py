"""The rule parser on real prompts; prints Markdown.

    python benchmarks/parsing.py FOLDER [--parser spacy]

FOLDER holds GenEval's `prompts_*.jsonl` and T2I-CompBench's `*_train.txt` or `*_val.txt`, at any
depth. Against
GenEval's own metadata: precision and recall of objects, colours, counts and positions. No graphs
are stated by T2I-CompBench, so there it is the share of prompts that the parser takes on at all.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from report import stamp, table

from invdpo.curate.prompts.geneval import graph_of
from invdpo.curate.prompts.spacy_parser import SpacyParser
from invdpo.curate.scene_graphs import grammar
from invdpo.schemas import SceneGraph

Facts = Counter[tuple[str, ...]]
NOTHING = SceneGraph()
Parse = Callable[[str], SceneGraph | None]


def objects(graph: SceneGraph) -> Facts:
    """Kinds of objects."""
    return Counter({(item.label,): 1 for item in graph.items})


def colours(graph: SceneGraph) -> Facts:
    """Attributes with the objects that have them."""
    return Counter((item.label, name) for item in graph.items for name in item.attributes)


def counts(graph: SceneGraph) -> Facts:
    """How many there are of each kind."""
    found = Counter(item.label for item in graph.items)
    return Counter({(label, str(n)): 1 for label, n in found.items()})


def positions(graph: SceneGraph) -> Facts:
    """Triples of labels and predicate."""
    return Counter(graph.triples())


KINDS: dict[str, Callable[[SceneGraph], Facts]] = {
    "objects": objects,
    "colours": colours,
    "counts": counts,
    "positions": positions,
}


def agreement(path: Path, parse: Parse) -> Iterator[tuple[str, ...]]:
    """Precision and recall of each kind of fact over a file of GenEval's."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [(graph_of(record), parse(record["prompt"]) or NOTHING) for record in records]
    for name, facts in KINDS.items():
        stated = sum(facts(one).total() for one, _ in pairs)
        found = sum(facts(other).total() for _, other in pairs)
        both = sum((facts(one) & facts(other)).total() for one, other in pairs)
        yield name, str(stated), str(found), share(both, found), share(both, stated)


def coverage(path: Path, parse: Parse) -> tuple[str, ...]:
    """How many prompts of a file of T2I-CompBench's have a graph, and what is in it."""
    prompts = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    prompts = [prompt for prompt in prompts if prompt]
    begin = time.perf_counter()
    graphs = [graph for graph in map(parse, prompts) if graph is not None]
    seconds = time.perf_counter() - begin
    attributed = sum(any(item.attributes for item in graph.items) for graph in graphs)
    related = sum(bool(graph.relations) for graph in graphs)
    return (
        path.stem.removesuffix("_train").removesuffix("_val"),
        str(len(prompts)),
        share(len(graphs), len(prompts)),
        share(attributed, len(prompts)),
        share(related, len(prompts)),
        f"{1e6 * seconds / max(1, len(prompts)):.0f}",
    )


def share(part: int, whole: int) -> str:
    """A fraction with three digits."""
    return f"{part / whole:.3f}" if whole else "none"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parser", choices=("rules", "spacy"), default="rules")
    args = parser.parse_args()
    folder, parse = args.folder, grammar.parse if args.parser == "rules" else SpacyParser().parse
    print(f"{stamp()}.\n")
    for path in sorted(folder.rglob("prompts_*.jsonl")):
        print(f"GenEval, {path.name}:\n")
        print(table(("facts", "stated", "found", "precision", "recall"), agreement(path, parse)))
    print("\nT2I-CompBench, shares of prompts:\n")
    head = ("file", "prompts", "with a graph", "with attributes", "with relations", "µs a prompt")
    files = sorted([*folder.rglob("*_train.txt"), *folder.rglob("*_val.txt")])
    print(table(head, [coverage(path, parse) for path in files]))


if __name__ == "__main__":
    main()
