"""The cards that go with a dataset and with a tuned model: YAML metadata and Markdown text."""

from invdpo.data_cards.licences import licence_of, read_licence
from invdpo.data_cards.render import render_dataset_card, render_model_card
from invdpo.data_cards.renewing import renewed

__all__ = [
    "licence_of",
    "read_licence",
    "render_dataset_card",
    "render_model_card",
    "renewed",
]
