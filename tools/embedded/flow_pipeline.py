"""Trains the flow pipeline's text encoders and velocity predictor on the shipped autoencoder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from embedded import data, flow, flow_text, growth, judge, prepare, text, vae, words
from embedded.export import export_flow
from invdpo.curate.shapes.bundle import model_path
from invdpo.schemas import SceneGraph

TEXT_STEPS = 1150


class FlowTrainer:
    """Holds the parts of the pipeline while the velocity predictor grows."""

    def __init__(self, work: Path, bundle: Path, seed: int, count: int) -> None:
        self.work, self.bundle, self.seed = work, bundle, seed
        self.tokenizer: CLIPTokenizer = words.build()
        self.training = prepare.scenes(work, count, seed + 1)
        # its latents have mean 0 and spread 1 already
        self.vae = AutoencoderKL.from_pretrained(model_path(), subfolder="vae").eval()
        self.latents = self._latents()
        self.encoders = self._encoders()

    def _latents(self) -> torch.Tensor:
        """The latents of all training scenes, from the file if it is there."""
        file = self.work / "flow-latents.safetensors"
        if not file.exists():
            save_file({"latents": vae.encode(self.vae, self.training.images)}, file)
        return load_file(file)["latents"]

    def _encoders(self) -> flow_text.Encoders:
        """The trained text encoders, from their file if it is there."""
        model, file = flow_text.Encoders(self.tokenizer), self.work / "flow-text.safetensors"
        if not file.exists():
            text.train(
                model,
                self.training.ids,
                self.training.places,
                steps=TEXT_STEPS,
                seed=self.seed,
                make_reader=flow_text.Reader,
            )
            save_file(model.state_dict(), file)
        model.load_state_dict(load_file(file))
        return model.eval()

    def embed(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """B×(T+1)×D text states and B×P pooled ones."""
        return self.encoders.embed(text.tokens(self.tokenizer, captions))

    def train(self, *, steps: int, stop_at: int, every: int) -> None:
        """Train the velocity predictor; after each spell measure and export the whole pipeline."""
        wanted = data.make("validation", 128, self.seed + 2)
        self.given = self.embed(wanted.captions)
        states, pooled = self.embed([""])
        self.empty = states[0], pooled[0]
        self.graphs: list[SceneGraph] = wanted.graphs
        growth.train(
            flow,
            growth.Latents(self.latents, self.encoders.embed(self.training.ids), self.empty),
            steps=steps,
            stop_at=stop_at,
            seed=self.seed,
            every=every,
            inspect=self.inspect,
        )

    def inspect(self, transformer: SD3Transformer2DModel, step: int) -> None:
        """Measure on 128 validation prompts and export."""
        latents = flow.sample(transformer, self.given, self.empty, seed=0)
        objects, full = judge.share(self.graphs, vae.decode(self.vae, latents))
        print(f"== step {step}: objects right {objects:.3f}, fully right {full:.3f}", flush=True)
        for folder in (self.work / f"flow-{step}", self.bundle):
            export_flow(
                folder,
                vae=self.vae,
                encoders=list(self.encoders.each),
                tokenizer=self.tokenizer,
                transformer=transformer,
                scheduler=flow.scheduler(),
            )
