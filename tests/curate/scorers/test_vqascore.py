"""VQAScore on small random models of two architectures, against their own forward passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.curate.scorers import SCORERS, Case
from invdpo.curate.scorers.vqascore import question
from invdpo.schemas import ModelError
from invdpo.schemas.config import ScoreConfig
from tests.curate.scorers.judged import values

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "Yes", "no", "yes", "Does", "this", "figure",
         "show", "Please", "answer", "or", "?", ".", '"', "a", "red", "blue", "cat", "dog", "USER",
         "ASSISTANT", ":", "{", "}"]  # fmt: skip
CHAT = (
    "{% for m in messages %}USER: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>\n{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endfor %} ASSISTANT:"
)
VISION: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
                          "num_attention_heads": 2, "image_size": 32, "patch_size": 8}  # fmt: skip


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", additional_special_tokens=["<image>"],
    )  # fmt: skip


def _pictures() -> Any:
    from transformers import CLIPImageProcessor

    square = {"height": 32, "width": 32}
    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)


def _llava(folder: Path) -> None:
    """LLaVA: the picture's tokens stand in the text, and the model goes on with it."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    text = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, pad_token_id=0,
    )  # fmt: skip
    vision = CLIPVisionConfig(**VISION)
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=4)
    network: Any = LlavaForConditionalGeneration(config)
    network.save_pretrained(folder)
    LlavaProcessor(
        _pictures(), _tokenizer(), patch_size=8, vision_feature_select_strategy="default",
        chat_template=CHAT, image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip


def _blip2(folder: Path) -> None:
    """BLIP-2 on T5: an encoder reads the question, and a decoder answers."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        T5Config,
    )

    text: Any = T5Config(
        vocab_size=len(WORDS), d_model=16, d_ff=16, d_kv=8, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    text.decoder_start_token_id = 0
    former = Blip2QFormerConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        encoder_hidden_size=16, vocab_size=len(WORDS),
    )  # fmt: skip
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**VISION).to_dict(), qformer_config=former.to_dict(),
        text_config=text.to_dict(), num_query_tokens=4, image_token_index=4,
    )  # fmt: skip
    network: Any = Blip2ForConditionalGeneration(config)
    network.save_pretrained(folder)
    Blip2Processor(_pictures(), _tokenizer(), num_query_tokens=4).save_pretrained(folder)


MAKE = {"llava": _llava, "blip2": _blip2}


@pytest.fixture(scope="module", params=MAKE)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param) / "model"
    MAKE[request.param](folder)
    return folder


@pytest.fixture(scope="module")
def cases(pictures: list[bytes]) -> list[Case]:
    return [
        Case({"prompt": f"a {'red ' * (n % 4)}cat", "image": {"bytes": data}})
        for n, data in enumerate(pictures)
    ]


def scorer(model: Path) -> Any:
    return SCORERS["vqascore"](ScoreConfig(device="cpu", vqascore_model=str(model)))


def test_is_the_models_own_chance_of_yes(model: Path, cases: list[Case]) -> None:
    """One picture at a time, without padding, by the model's own class."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    network: Any = AutoModelForImageTextToText.from_pretrained(model).eval()
    processor: Any = AutoProcessor.from_pretrained(model)
    decoder = "T5" in type(getattr(network, "language_model", network)).__name__
    expected = []
    for case in cases[:6]:
        asked = question(case.prompt)
        text = asked if decoder else f"USER: <image>\n{asked} ASSISTANT:"
        given = processor(images=case.image, text=text, return_tensors="pt")
        more = {"decoder_input_ids": torch.zeros(1, 1, dtype=torch.long)} if decoder else {}
        with torch.no_grad():
            logits = network(**given, **more).logits[0, -1]
        expected.append(logits.softmax(dim=-1)[WORDS.index("Yes")].item())
    assert values(scorer(model)(cases[:6])) == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 7) for value in expected}) > 3


def test_batch_and_order_do_not_matter(model: Path, cases: list[Case]) -> None:
    made = scorer(model)
    together = values(made(cases))
    alone = [values(made([case]))[0] for case in cases[:4]]
    assert together[:4] == pytest.approx(alone, abs=1e-5)
    assert values(made(cases[::-1]))[::-1] == pytest.approx(together, abs=1e-5)


def test_whatever_stands_in_a_prompt(model: Path, pictures: list[bytes]) -> None:
    odd = ['{0} %s {', 'say "no"\nplease', "красный кот 赤い猫"]
    given = [Case({"prompt": text, "image": {"bytes": pictures[0]}}) for text in odd]
    assert all(0 < value < 1 for value in values(scorer(model)(given)))
    assert question(odd[0]) == 'Does this figure show "{0} %s {"? Please answer yes or no.'


def test_a_model_of_another_kind_is_told(pickled: Path, cases: list[Case]) -> None:
    with pytest.raises(ModelError, match="no image-text-to-text model"):
        scorer(pickled)(cases[:1])


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    return tmp_path
