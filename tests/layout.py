"""The rules of the house, each a function from a checkout to what breaks it.

A problem is one line that names the file. `test_layout.py` runs the rules on this checkout, and on
bad examples that every rule must find.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("curate", "data_cards", "schemas", "train")
FOLDERS = {".ci", "benchmarks", "docs", "invdpo", "tests", "tools", *ROOMS}
PASSING = {".git", ".venv", "build", "demo", "dist", "work", "__pycache__"}
"""What set-up, caches and runs leave; never in git."""
MAY_IMPORT = {
    "schemas": {"schemas"},
    "curate": {"curate", "schemas", "data_cards"},
    "train": {"train", "schemas", "data_cards"},
    "data_cards": {"data_cards", "schemas"},
}
"""Which rooms the files of a room may import; `invdpo/` and the rest may know all."""
PLUGINS = {"annotators", "engines", "exchange", "prompts", "scorers"}
"""Folders with one file a plug-in: the plug-in's name is the file's, whatever others are called."""
LAYERS = {
    "curate": (
        "diagnostics", "evaluation", "exchange", "review", "dataset", "report", "pairing",
        "annotators", "scorers", "prompts", "generators", "engines", "clients",
        "checkpoints", "scene_graphs", "storage", "shapes",
    ),
    "train": (
        "diagnostics", "monitoring", "cache", "models", "optim", "checkpoint", "data",
    ),
}  # fmt: skip
"""Sub-folders from the top to the ground: each imports only those that stand after it."""
MOST_MODULES = 18
MOST_AT_THE_TOP = {"curate": 13, "train": 12}
PRIVATE_WORDS = {
    "ahead", "calm", "case", "crowd", "discretion", "eye", "foresight", "found", "here", "ledger",
    "meeting", "news", "pieces", "place", "places", "sieve", "sift", "sighting", "sightings",
    "some", "told",
}  # fmt: skip
"""Words that say nothing to a newcomer or a search, so no name of a module, class or function."""
NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
LONGEST_FILE = 300
LONGEST_FUNCTION = 60
SKIPPED = re.compile(r"#\s*fmt:\s*(?:skip|off)")
TABLES = {"tests/layout.py"}
"""Files with tables of data that are read by their columns."""
HOMES = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
TEXT = {".cfg", ".j2", ".json", ".md", ".py", ".toml", ".txt", ".yaml", ".yml", ""}


def files(root: Path, pattern: str = "*") -> Iterator[Path]:
    """Files of the checkout, without links, caches and what runs leave behind."""
    for path in sorted(root.rglob(pattern)):
        parts = path.relative_to(root).parts
        # in a worktree .git is a file
        if any(_passing(part) for part in (parts[0], *parts[:-1])) or path.is_symlink():
            continue
        if path.is_file() and not (parts[0] == "invdpo" and parts[1] in ROOMS):
            yield path


def _passing(name: str) -> bool:
    return name in PASSING or name.endswith(("_cache", ".egg-info")) or name == ".hypothesis"


def unlisted_folders(root: Path) -> list[str]:
    """Top-level folders that no rule knows."""
    found = {path.name for path in root.iterdir() if path.is_dir() and not _passing(path.name)}
    return [f"{name}/: an unlisted folder at the top level" for name in sorted(found - FOLDERS)]


def missing_links(root: Path) -> list[str]:
    """Rooms without their relative link in `invdpo/`."""
    links = {room: root / "invdpo" / room for room in ROOMS}
    return [
        f"invdpo/{room}: not a link to ../{room}"
        for room, link in links.items()
        if not link.is_symlink() or link.readlink() != Path("..") / room
    ]


def unlisted_packages(root: Path) -> list[str]:
    """Packages that pyproject.toml forgets, or names in vain."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = [path.relative_to(root).parts[:-1] for path in files(root, "__init__.py")]
    code = [parts for parts in folders if parts[0] in ("invdpo", *ROOMS)]
    there = {".".join(parts if parts[0] == "invdpo" else ("invdpo", *parts)) for parts in code}
    wrong = sorted(listed ^ there)
    return [f"pyproject.toml: packages and folders disagree about {name}" for name in wrong]


def folders_without_init(root: Path) -> list[str]:
    """Folders of code that are no package, so that the wheel would lack them."""
    folders = {path.parent for room in ROOMS for path in files(root / room, "*.py")}
    return [
        f"{folder.relative_to(root)}/: no __init__.py"
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists()
    ]


def unlisted_data(root: Path) -> list[str]:
    """Files beside the code that a wheel would lack, because no package data name them."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"].get("package-data", {})
    shipped = {
        path
        for package, patterns in listed.items()
        for pattern in patterns
        for path in root.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    shipped |= {path for folder in shipped if folder.is_dir() for path in folder.rglob("*")}
    there = [path for path in files(root) if path.relative_to(root).parts[0] in ROOMS]
    return [
        f"{path.relative_to(root)}: not in the package data of pyproject.toml"
        for path in there
        if path.suffix not in (".py", ".pyc") and path not in shipped
    ]


def wrong_imports(root: Path) -> list[str]:
    """Relative imports, imports without the prefix, and imports across a wall between rooms."""
    problems = []
    inner = {*ROOMS, *_face(root)}
    for path in files(root, "*.py"):
        where = path.relative_to(root)
        allowed = MAY_IMPORT.get(where.parts[0], inner)
        for line, name in _imports(path):
            top, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if not top:
                problems.append(f"{where}:{line}: a relative import")
            elif top in ROOMS:
                problems.append(f"{where}:{line}: import {name} lacks the invdpo. prefix")
            elif top == "invdpo" and room in inner - allowed:
                problems.append(f"{where}:{line}: {where.parts[0]} may not import invdpo.{room}")
    return problems


def _face(root: Path) -> set[str]:
    """Modules and packages of the command line, on which no room may lean."""
    return {
        path.stem
        for path in (root / "invdpo").iterdir()
        if path.name not in ROOMS and (path.suffix == ".py" or path.is_dir())
    } - {"__init__", "__pycache__"}


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions too; relative ones start `.`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def crowded_folders(root: Path) -> list[str]:
    """Folders with more modules than a reader can keep in mind."""
    problems = []
    for folder in sorted({p.parent for r in ("invdpo", *ROOMS) for p in files(root / r, "*.py")}):
        where = folder.relative_to(root).as_posix()
        count = sum(path.stem != "__init__" for path in folder.glob("*.py"))
        most = MOST_AT_THE_TOP.get(where, MOST_MODULES)
        if count > most:
            problems.append(f"{where}/: {count} modules, at most {most}")
    return problems


def repeated_names(root: Path) -> list[str]:
    """File names that stand twice in a room; `base` and plug-ins apart."""
    problems = []
    for room in ("invdpo", *ROOMS):
        seen: dict[str, str] = {}
        for path in files(root, "*.py"):
            where = path.relative_to(root)
            if where.parts[0] != room or path.stem in ("__init__", "base"):
                continue
            if not PLUGINS & set(where.parts[1:-1]):
                name = where.as_posix()
                first = seen.setdefault(path.stem, name)
                if first != name:
                    problems.append(f"{name}: {first} has this name")
    return problems


def upward_imports(root: Path) -> list[str]:
    """Imports from a sub-folder to one that stands above it, and sub-folders that no list names."""
    problems = []
    for room, layers in LAYERS.items():
        for path in files(root / room, "*.py"):
            where = path.relative_to(root)
            if len(where.parts) < 3:
                continue
            if where.parts[1] not in layers:
                problems.append(f"{where}: LAYERS has no {where.parts[1]}")
                continue
            above = layers[: layers.index(where.parts[1])]
            for line, name in _imports(path):
                parts = name.split(".")
                if parts[:2] == ["invdpo", room] and len(parts) > 2 and parts[2] in above:
                    problems.append(f"{where}:{line}: {where.parts[1]} may not import {parts[2]}")
    return problems


def private_words(root: Path) -> list[str]:
    """Modules, classes and functions named by words that nobody would search for."""
    problems = []
    for room in ("invdpo", *ROOMS):
        for path in files(root, "*.py"):
            where = path.relative_to(root)
            if where.parts[0] != room:
                continue
            if path.stem in PRIVATE_WORDS:
                problems.append(f"{where}: a name that tells nothing")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, NAMED) or node.name.strip("_").lower() not in PRIVATE_WORDS:
                    continue
                problems.append(f"{where}:{node.lineno}: {node.name} tells nothing")
    return problems


def long_code(root: Path) -> list[str]:
    """Files and functions that outgrew their one idea."""
    problems = []
    for path in files(root, "*.py"):
        where, text = path.relative_to(root), path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > LONGEST_FILE:
            problems.append(f"{where}: {lines} lines, at most {LONGEST_FILE}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = _length(node)
                if length > LONGEST_FUNCTION:
                    problems.append(f"{where}: {node.name} has {length} lines")
    return problems


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def`, its docstring aside."""
    first, doc = node.body[0], ast.get_docstring(node) is not None
    words = (first.end_lineno or 0) - first.lineno + 1 if doc else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - words


def missing_files(root: Path) -> list[str]:
    """Files that the page on the architecture names and that are not there."""
    page = root / "docs" / "architecture.md"
    named = (
        re.findall(r"`([\w./]+\.py)`", page.read_text(encoding="utf-8")) if page.exists() else []
    )
    return [f"docs/architecture.md: no {name}" for name in named if not (root / name).is_file()]


def skipped_formatting(root: Path) -> list[str]:
    """Marks that keep the formatter off, save in the files that are tables of data."""
    return [
        f"{path.relative_to(root)}: a mark that keeps the formatter off"
        for path in files(root, "*.py")
        if SKIPPED.search(path.read_text(encoding="utf-8"))
        and path.relative_to(root).as_posix() not in TABLES
    ]


def machine_paths(root: Path) -> list[str]:
    """Lines that name a folder of somebody's machine."""
    problems = []
    for path in files(root):
        if path.suffix not in TEXT:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if HOMES.search(line) or str(root) in line:
                problems.append(f"{path.relative_to(root)}:{number}: a path of this machine")
    return problems


RULES = (
    unlisted_folders,
    missing_links,
    unlisted_packages,
    folders_without_init,
    unlisted_data,
    wrong_imports,
    crowded_folders,
    repeated_names,
    upward_imports,
    private_words,
    skipped_formatting,
    missing_files,
    long_code,
    machine_paths,
)
