"""Whether the pairs that were chosen before are whole: their report, and a dataset to open."""

from __future__ import annotations

from invdpo.curate.dataset.folder import SPLITS, DatasetFolder
from invdpo.curate.pairing import Report
from invdpo.curate.storage.parts import exists
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.io.documents import read_file, read_json


def earlier_report(ws: Workspace, config: Config, rows: int) -> Report | None:
    """The report of these pairs; None when it or the dataset must be written again."""
    return _read_report(ws, config, rows) if _has_pairs(ws, rows) else None


def _has_pairs(ws: Workspace, rows: int) -> bool:
    """Whether the files of the dataset can be opened and have so many rows."""
    folder = DatasetFolder(ws.dataset_dir)
    try:
        return sum(map(folder.count_pairs, SPLITS)) == rows
    except DataError:
        return False


def _read_report(ws: Workspace, config: Config, rows: int) -> Report | None:
    """The report of these pairs, None when it is gone or a later pairing wrote another."""
    if not exists(ws.report_path):
        return None
    try:
        report: Report = read_json(read_file(ws.report_path), ws.report_path, dict)
        same = report["config"] == config.pair.fingerprint() and report["pairs"]["total"] == rows
    except (ValueError, KeyError, TypeError):
        return None
    return report if same else None
