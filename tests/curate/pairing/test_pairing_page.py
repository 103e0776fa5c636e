"""Every command of docs/pairing.md runs, and every option is told there."""

import json
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate.workspace import Workspace
from invdpo.options import flags
from invdpo.schemas.config.pair import STRATA
from invdpo.schemas.tables import REVIEWS
from tests.curate.pairing.scored_workspace import scored_workspace

PAGE = Path(__file__).parents[3] / "docs" / "pairing.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    invdpo (curate pair .+)$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = scored_workspace(tmp_path_factory.mktemp("page") / "work")
    table = pa.Table.from_pylist([{"pair_id": "0" * 32, "decision": "drop"}], REVIEWS)
    pq.write_table(table, made.reviews_path)
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(command: str, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ws.root.parent)
    ws.config_path.unlink(missing_ok=True)  # which would keep the options of the one before
    result = CliRunner().invoke(app, [*shlex.split(command), "--overwrite", "--json"])
    assert result.exit_code == 0, result.output
    (step,) = json.loads(result.stdout)["steps"]
    assert step["made"] >= 10
    if target := re.search(r"--target-(pairs|images) (\d+)", command):
        assert step["made"] == int(target[2]) // (2 if target[1] == "images" else 1)


def test_every_option_is_told() -> None:
    assert len(COMMANDS) > 15
    known = {flag.option.partition("/")[0] for flag in flags(["pair"]) if not flag.hidden}
    known |= {"--dry-run", "--overwrite", "--name", "--compare", "--output"}
    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert documented == known


def test_every_stratum_is_told() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", TEXT, re.MULTILINE))
    for kind, names in STRATA.items():
        for name in (n for n in names if n != "unknown" and not n.isdecimal()):
            assert f"`{name}`" in rows[kind], (kind, name)
