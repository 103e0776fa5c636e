"""The cards that go with a data set and with a tuned model: YAML metadata and Markdown text."""

from invdpo.data_cards.render import render_dataset_card, render_model_card

__all__ = ["render_dataset_card", "render_model_card"]
