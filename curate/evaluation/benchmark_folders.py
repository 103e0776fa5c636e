"""Folders of images as the judges of GenEval and of T2I-CompBench read them.

GenEval (arXiv 2310.11513) wants `00012/metadata.jsonl`, the record of a prompt, and its images in
`00012/samples/`. T2I-CompBench (arXiv 2307.06350) wants `samples/PROMPT_000012.png`, and reads the
prompt up to the first underscore; each of its categories has a judge of its own, so each has a
folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from invdpo.curate.evaluation.results import BASE, UNNAMED, Evaluation, Outcome, Result
from invdpo.curate.exchange.names import file_stem
from invdpo.curate.prompts.file import read_records
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.tables import Record

LONGEST_NAME = 240
"""Bytes of a prompt in the name of a file, of which most disks take 255 in all."""
Drawn = Sequence[tuple[Result, Outcome]]
"""The outcomes of one model, with what they are outcomes of."""
Write = Callable[[Path, Drawn], None]


def find_export(name: str, prompts: PromptsConfig) -> Write:
    """What writes the folder of one model. Raises an error for prompts that it can't be made of."""
    if name == "t2i-compbench":
        return _write_t2i_compbench
    if name != "geneval":
        raise ConfigError(f"--export: found {name!r}; expected geneval or t2i-compbench.")
    records = _geneval_records(prompts)
    return lambda folder, drawn: _write_geneval(folder, drawn, records)


def export_images(
    folder: Path, write: Write, base: str, evaluations: Sequence[Evaluation]
) -> dict[str, str]:
    """Rewrite `folder` with a folder for each model, named as its workspace: folder -> model.

    An image that the model refused is left out. Raises `WorkspaceError` for a disk that is full.
    """
    names = {BASE: base}
    with replacing_folder(folder) as new:
        write(new / BASE, [(result, result.base) for result in evaluations[0].results])
        for one in evaluations:
            write(new / one.workspace, [(result, result.tuned) for result in one.results])
            names[one.workspace] = one.tuned
    return {str(folder / name): model for name, model in names.items()}


def _geneval_records(prompts: PromptsConfig) -> dict[str, tuple[int, Record]]:
    """Prompt -> its place in the file, or in all files one after another, from 0; its record."""
    records = read_records(prompts) if prompts.source == "file" else []
    known = {
        str(record["prompt"]).strip(): (place, record)
        for place, (_, record) in enumerate(records)
        if isinstance(record.get("include"), list) and {"tag", "prompt"} <= record.keys()
    }
    if not known:
        raise DataError(
            "--export geneval: needs prompts in GenEval's format, records with tag, include and "
            "prompt. Give them with --source file --path evaluation_metadata.jsonl"
        )
    return known


def _write_geneval(folder: Path, drawn: Drawn, records: Mapping[str, tuple[int, Record]]) -> None:
    for result, outcome in drawn:
        if (image := outcome.image) is None or result.prompt not in records:
            continue
        number, record = records[result.prompt]
        samples = folder / f"{number:05}" / "samples"
        samples.mkdir(parents=True, exist_ok=True)
        metadata = json.dumps(record, ensure_ascii=False)
        (samples.parent / "metadata.jsonl").write_text(f"{metadata}\n", encoding="utf-8")
        (samples / f"{result.number:04}.png").write_bytes(image)


def _write_t2i_compbench(folder: Path, drawn: Drawn) -> None:
    numbers = defaultdict[str, int](int)
    for result, outcome in drawn:
        if (image := outcome.image) is None:
            continue
        category = file_stem(result.category or UNNAMED)
        samples = folder / category / "samples"
        samples.mkdir(parents=True, exist_ok=True)
        name = f"{_file_text(result.prompt)}_{numbers[category]:06}.png"
        (samples / name).write_bytes(image)
        numbers[category] += 1


def _file_text(prompt: str) -> str:
    """The prompt without what no name may hold, and without underscores, which would end it."""
    plain = "".join(" " if c in '_/\\:*?"<>|' or not c.isprintable() else c for c in prompt)
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore").strip()
