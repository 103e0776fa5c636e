"""The CLIP scorer on a tiny random model: order, batches, texts, and refusals."""

import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.open_clip import find
from invdpo.curate.images import encode
from invdpo.curate.scorers import SCORERS, Candidate
from invdpo.curate.shapes import scenes, world
from invdpo.curate.shapes.layout import layout
from invdpo.curate.shapes.render import render
from invdpo.schemas import ModelError, PluginError
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.scorers.judged_images import values


@pytest.fixture(scope="module")
def candidates(pictures: list[bytes]) -> list[Candidate]:
    """32 cases of 8 prompts."""
    return [
        Candidate({"prompt": f"image {n // 4}", "image": {"bytes": data, "path": None}})
        for n, data in enumerate(pictures)
    ]


def config(folder: Path) -> ScoreConfig:
    return ScoreConfig(clip_model=str(folder), device="cpu")


def scores(folder: Path, given: list[Candidate]) -> list[float]:
    return values(SCORERS["clip"](config(folder))(given))


def test_is_the_cosine_open_clip_gives(clip_folder: Path, candidates: list[Candidate]) -> None:
    import open_clip
    import torch

    name = f"local-dir:{clip_folder}"
    network, preprocess = open_clip.create_model_from_pretrained(name)
    candidate = candidates[0]
    with torch.no_grad():
        image = network.eval().encode_image(preprocess(candidate.image)[None])
        text = network.encode_text(open_clip.get_tokenizer(name)([candidate.prompt]))
    expected = torch.cosine_similarity(image, text).item()
    assert scores(clip_folder, [candidate])[0] == pytest.approx(expected, abs=1e-6)


def test_batch_and_order_do_not_matter(clip_folder: Path, candidates: list[Candidate]) -> None:
    together = scores(clip_folder, candidates)
    alone = [scores(clip_folder, [candidate])[0] for candidate in candidates[:5]]
    assert together[:5] == pytest.approx(alone, abs=1e-5)
    assert scores(clip_folder, candidates[::-1])[::-1] == pytest.approx(together, abs=1e-5)


def test_each_prompt_is_encoded_once(clip_folder: Path, candidates: list[Candidate]) -> None:
    scorer = SCORERS["clip"](config(clip_folder))
    scorer(candidates[:1])
    network = scorer.encoder.model.network  # type: ignore[attr-defined]
    with patch.object(network, "encode_text", wraps=network.encode_text) as encode:
        scorer(candidates[:10])
        scorer(candidates[10:16])
    assert sum(len(call.args[0]) for call in encode.call_args_list) == 3


def test_revision_follows_the_content(clip_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip_folder, copy)
    name, digest = find(str(clip_folder), None).revision().split("@sha256:")
    assert name == clip_folder.name
    assert find(str(copy), None).revision() == f"copy@sha256:{digest}"
    weights = copy / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert not find(str(copy), None).revision().endswith(digest)


def test_named_models_have_a_name_and_a_revision(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def commit(repository: str, revision: str | None, file: str) -> str:
        asked.append(repository)
        return "c0ffee" * 7

    monkeypatch.setattr(open_clip, "commit_of", commit)
    revision = find("ViT-B-32", "laion2b_s34b_b79k").revision()
    assert revision.startswith("ViT-B-32:laion2b_s34b_b79k@c0ffee")
    assert find("hf-hub:laion/some-clip", None).revision().startswith("laion/some-clip@c0ffee")
    assert asked == ["laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "laion/some-clip"]
    weights = clip_folder / "open_clip_model.safetensors"
    revision = find("ViT-B-32", str(weights)).revision()
    assert revision.startswith("ViT-B-32:open_clip_model.safetensors@sha256:")


def test_weights_made_for_another_activation_are_refused() -> None:
    """They would load, and every embedding would be a little wrong."""
    with pytest.raises(ModelError, match=r"'openai' need 'ViT-B-32-quickgelu'\. Give that"):
        find("ViT-B-32", "openai")
    assert find("ViT-B-32-quickgelu", "openai").tag == "openai"


def test_pickles_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copy(clip_folder / "open_clip_config.json", tmp_path)
    weights = tmp_path / "open_clip_pytorch_model.bin"
    weights.write_bytes(b"\x80\x05}.")
    with pytest.raises(ModelError, match="is a pickle"):
        find(str(tmp_path), None)
    with pytest.raises(ModelError, match="is a pickle"):
        find("ViT-B-32", str(weights))


def test_a_pickle_beside_safetensors_is_not_opened(
    clip_folder: Path, tmp_path: Path, candidates: list[Candidate]
) -> None:
    folder = tmp_path / "both"
    shutil.copytree(clip_folder, folder)
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"\x80 would fail to load")
    assert scores(folder, candidates[:1]) == scores(clip_folder, candidates[:1])


@pytest.mark.parametrize(
    ("model", "pretrained", "text"),
    [
        ("no-such-model", None, "Unknown clip_model 'no-such-model'"),
        ("ViT-B-33", None, "ViT-B-32"),
        ("ViT-B-32", None, "needs clip_pretrained"),
        ("ViT-B-32", "no-such-tag", "was not found. Give one of its tags"),
    ],
)
def test_unknown_models(model: str, pretrained: str | None, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        find(model, pretrained)


def test_folders_without_what_is_needed(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no open_clip_config\.json"):
        find(str(tmp_path), None)
    shutil.copy(clip_folder / "open_clip_config.json", tmp_path)
    with pytest.raises(ModelError, match="no weights"):
        find(str(tmp_path), None)


def test_weights_of_another_architecture(
    clip_folder: Path, tmp_path: Path, candidates: list[Candidate]
) -> None:
    folder = tmp_path / "wider"
    shutil.copytree(clip_folder, folder)
    text = (folder / "open_clip_config.json").read_text()
    (folder / "open_clip_config.json").write_text(text.replace('"width": 32', '"width": 48'))
    with pytest.raises(
        ModelError, match=r"open_clip_model\.safetensors: has in another shape: \S+, "
    ):
        scores(folder, candidates[:1])


def test_the_embedded_model_knows_its_world(caplog: pytest.LogCaptureFixture) -> None:
    """Rendered scenes fit their own captions better than the next scene's."""
    rng = np.random.default_rng(1)
    graphs = [scenes.sample_graph(rng, "heldout") for _ in range(8)]
    pictures = [encode(render(layout(graph, rng), rng)) for graph in graphs]
    captions = [world.caption(graph) for graph in graphs]
    scorer = SCORERS["clip"](ScoreConfig(device="cpu"))
    right, wrong = (
        values(scorer(_candidates(texts, pictures)))
        for texts in (captions, captions[1:] + captions[:1])
    )
    assert all(a > b for a, b in zip(right, wrong, strict=True))
    assert scorer.revision.startswith("embedded@sha256:")
    assert not caplog.records


def _candidates(prompts: list[str], pictures: list[bytes]) -> list[Candidate]:
    rows = zip(prompts, pictures, strict=True)
    return [Candidate({"prompt": text, "image": {"bytes": data}}) for text, data in rows]


def test_unknown_scorer_lists_the_known() -> None:
    with pytest.raises(PluginError, match=r"Known: .*clip, composition"):
        SCORERS["beauty"]
