"""The cards that go with a data set and with a tuned model: YAML metadata and Markdown text."""

from invdpo.data_cards.licences import licence_of, told_licence
from invdpo.data_cards.render import render_dataset_card, render_model_card
from invdpo.data_cards.renewing import renewed

__all__ = [
    "licence_of", "render_dataset_card", "render_model_card", "renewed", "told_licence",
]  # fmt: skip
