"""Trains text encoder and noise predictor on the latents of a trained autoencoder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from embedded import data, diffusion, growth, judge, prepare, text, vae, words
from embedded.export import export
from embedded.whiten import whiten
from invdpo.schemas import SceneGraph

TEXT_STEPS = 1150


class Trainer:
    """Holds the parts of the pipeline while the noise predictor grows."""

    def __init__(self, work: Path, bundle: Path, seed: int, count: int) -> None:
        self.work, self.bundle, self.seed = work, bundle, seed
        self.tokenizer: CLIPTokenizer = words.build()
        self.training = prepare.scenes(work, count, seed + 1)
        self.vae = AutoencoderKL.from_pretrained(work / "vae").eval()
        self.latents = whiten(self.vae, self._latents())
        self.encoder = self._encoder()

    def _latents(self) -> torch.Tensor:
        """The raw latents of all training scenes, from the file if it is there."""
        file = self.work / "latents.safetensors"
        if not file.exists():
            save_file({"latents": vae.encode(self.vae, self.training.images)}, file)
        return load_file(file)["latents"]

    def _encoder(self) -> CLIPTextModel:
        """The trained text encoder, from its folder if it is there."""
        if (self.work / "text").exists():
            return CLIPTextModel.from_pretrained(self.work / "text").eval()
        model = text.build(self.tokenizer)
        ids, places = self.training.ids, self.training.places
        text.train(model, ids, places, steps=TEXT_STEPS, seed=self.seed)
        model.save_pretrained(self.work / "text")
        return model.eval()

    def embed(self, captions: list[str]) -> torch.Tensor:
        """B×T×D text states."""
        return text.embed(self.encoder, text.tokens(self.tokenizer, captions))

    def train(self, *, steps: int, stop_at: int, every: int) -> None:
        """Train the noise predictor; after each spell measure it and export the whole pipeline."""
        wanted = data.make("validation", 128, self.seed + 2)
        self.given, self.empty = self.embed(wanted.captions), self.embed([""])[0]
        self.graphs: list[SceneGraph] = wanted.graphs
        contexts = text.embed(self.encoder, self.training.ids)
        growth.train(
            diffusion,
            growth.Latents(self.latents, (contexts,), (self.empty,)),
            steps=steps,
            stop_at=stop_at,
            seed=self.seed,
            every=every,
            inspect=self.inspect,
        )

    def inspect(self, unet: UNet2DConditionModel, step: int) -> None:
        """Measure on 128 validation prompts and export."""
        latents = diffusion.sample(unet, self.given, self.empty, seed=0)
        objects, full = judge.share(self.graphs, vae.decode(self.vae, latents))
        print(f"== step {step}: objects right {objects:.3f}, fully right {full:.3f}", flush=True)
        for folder in (self.work / f"bundle-{step}", self.bundle):
            export(
                folder,
                vae=self.vae,
                encoder=self.encoder,
                tokenizer=self.tokenizer,
                unet=unet,
                scheduler=diffusion.scheduler(),
            )
