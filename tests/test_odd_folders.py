"""Models, workspaces, datasets, requests with something odd in them: a result, or plain words."""

from __future__ import annotations

import collections
import http.client
import json
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from invdpo.curate import steps
from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.lora import PEFT_CONFIG, peft_settings
from invdpo.curate.checkpoints.pipelines import find_lora, find_model
from invdpo.curate.checkpoints.weights import read_shapes
from invdpo.curate.dataset.card import renew_card
from invdpo.curate.exchange import export_dataset, import_dataset
from invdpo.curate.runner import RunOptions
from invdpo.curate.shapes import bundle
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.config.train import TrainConfig
from invdpo.train.cache.store import Store
from invdpo.train.checkpoint.state import load_state
from invdpo.train.data.dataset import open_dataset
from invdpo.train.models import load_adapter
from tests.curate.review.sessions import serving, session
from tests.odd_files import WHOLE, answers, as_json, cases, damaged
from tests.workspaces import CONFIG, build

STORED = Path(__file__).parent / "stored" / "whole"


@pytest.mark.parametrize(
    "name", ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"]
)
def test_settings_of_a_model(name: str, tmp_path: Path) -> None:
    model = Path(shutil.copytree(bundle.model_path(), tmp_path / "model"))
    content = (model / name).read_bytes()
    config, device = TrainConfig(model=str(model)), torch.device("cpu")
    for odd in cases(content, json.loads(content), 8):
        (model / name).write_bytes(odd)
        answers(lambda: find_model(str(model)))
        answers(lambda: load_adapter(config, device).empty_denoiser())


def test_states_of_a_training(tmp_path: Path) -> None:
    """A damaged one is passed over, and told."""
    folder = Path(shutil.copytree(STORED / "tuned" / "state", tmp_path / "state"))
    (path,) = folder.rglob("state.json")
    content = path.read_bytes()
    for odd in cases(content, json.loads(content), 10):
        path.write_bytes(odd)
        state, notes = load_state(folder)
        assert state is not None or notes


def test_headers_of_tensors(tmp_path: Path) -> None:
    (folder,) = (p for p in (STORED / "trajectories").iterdir() if p.name.startswith("prompts"))
    folder = Path(shutil.copytree(folder, tmp_path / folder.name))
    key = json.loads((folder / "key.json").read_bytes())
    path = next(folder.glob("*.safetensors"))
    lora = tmp_path / "pytorch_lora_weights.safetensors"
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = content[8:start]
    for odd in cases(header, json.loads(header), 10):
        changed = len(odd).to_bytes(8, "little") + odd + content[start:]
        path.write_bytes(changed)
        (folder / "verified.txt").write_bytes(odd)
        assert Store(tmp_path, key).missing(["x"]) == ["x"]
        lora.write_bytes(changed)
        answers(lambda: (find_lora(str(lora)), read_shapes(lora), peft_settings(lora)))


@pytest.mark.filterwarnings("ignore:Unexpected keyword")
def test_settings_of_a_lora_in_pefts_form(tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    save_file({"base_model.model.x.lora_A.weight": torch.zeros(2, 2)}, path)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "init_lora_weights": True}
    for odd in cases(*as_json(settings), 5):
        path.with_name(PEFT_CONFIG).write_bytes(odd)
        answers(lambda: peft_settings(path))


def test_settings_of_an_open_clip_folder(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.clip_path(), tmp_path / "clip"))
    path = folder / "open_clip_config.json"
    content = path.read_bytes()
    for odd in cases(content, json.loads(content), 5):
        path.write_bytes(odd)
        answers(lambda: open_clip.load(open_clip.find(str(folder), None), "cpu"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built") / "work").root


def odd_table(table: pa.Table, rng: random.Random) -> pa.Table:
    """A table without a column, or with one of another type, or with other metadata."""
    name = rng.choice(table.column_names)
    index = table.column_names.index(name)
    if rng.random() < 0.2:
        return table.drop_columns([name])
    if rng.random() < 0.3 and table.schema.metadata:
        metadata = dict(table.schema.metadata)
        metadata[rng.choice([*metadata])] = rng.choice(WHOLE)
        return table.replace_schema_metadata(metadata)
    value = rng.choice((None, 7, 0.5, b"x", "\x1b[2J", "", [1], {"bytes": b"x", "path": "../x"}))
    return table.set_column(index, name, pa.array([value] * len(table)))


def odd_folders(built: Path, new: Path, pattern: str, many: int) -> Iterator[Path]:
    """Copies of a folder with one odd file each."""
    rng = random.Random(3)
    names = sorted(path.relative_to(built) for path in built.rglob(pattern) if path.is_file())
    for _ in range(many):
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(built, new)
        path = new / rng.choice(names)
        if path.suffix == ".parquet" and rng.random() < 0.7:
            pq.write_table(odd_table(pq.read_table(path), rng), path)
        else:
            odd = [*damaged(path.read_bytes(), rng.randrange(999), 3), rng.choice(WHOLE)]
            path.write_bytes(rng.choice(odd))
        yield new


def read_pairs(folder: Path) -> None:
    open_dataset(folder).pairs("train", 5)


def review_all(work: Path) -> None:
    review = session(work)
    for number in range(len(review.pairs)):
        review.pair(number), review.answer(number), review.picture(number, "left")


def test_tables_of_a_workspace(built: Path, tmp_path: Path) -> None:
    options = RunOptions(progress=False, overwrite=True)
    judged = Config(score=ScoreConfig(scorers=("composition",), annotator="shapes"))
    for work in odd_folders(built, tmp_path / "work", "*.parquet", 10):
        ws = Workspace(work)
        answers(renew_card, ws, DatasetConfig())
        answers(review_all, ws.root)
        answers(steps.score, ws, judged, options)
        answers(steps.pair, ws, CONFIG, options)


@pytest.mark.parametrize("layout", ["pickapic", "preference", "folders", "invdpo"])
def test_data_sets(layout: str, built: Path, tmp_path: Path) -> None:
    sound, new = built / "dataset", tmp_path / "new"
    if layout != "invdpo":
        export_dataset(built, layout, sound := tmp_path / "sound", DatasetConfig())
    for folder in odd_folders(sound, tmp_path / "odd", "*.*", 8):
        answers(read_pairs, folder)
        shutil.rmtree(new, ignore_errors=True)
        if layout == "invdpo":
            answers(export_dataset, folder, "pickapic", new, DatasetConfig())
        else:
            answers(import_dataset, folder, layout, new, DatasetConfig())


def test_requests_of_the_review_page(built: Path, tmp_path: Path) -> None:
    """Each is answered, and none with a fault of ours."""
    work = Path(shutil.copytree(built, tmp_path / "work"))
    statuses: collections.Counter[int] = collections.Counter()
    with serving(session(work)) as server:

        def ask(method: str, path: str, body: bytes | None, length: str | None = None) -> None:
            line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            sent = {"Content-Type": "application/json"}
            sent |= {"Content-Length": length} if length else {}
            line.request(method, path, body, sent)
            statuses[line.getresponse().status] += 1
            line.close()

        decision = {"choice": "left", "note": "half an emoji: \ud83d"}
        bodies: Iterable[bytes] = cases(*as_json(decision), 10)
        for body in [json.dumps(decision).encode(), *bodies]:
            ask("POST", f"/{server.token}/pair/0", body)
        for path in ("pair/-1", "pair/1e3", "image/0/left/../../x", "%00", "..//", "pair//answer"):
            ask("GET", f"/{server.token}/{path}", None)
        ask("GET", "without-a-slash", None)
        ask("POST", f"/{server.token}/pair/0", None, "²")
    assert set(statuses) <= {200, 400, 403, 404, 413}
    assert statuses[200] > 0
    notes = pq.read_table(work / "reviews.parquet")["note"].to_pylist()
    assert notes[0] == "half an emoji: ?"
