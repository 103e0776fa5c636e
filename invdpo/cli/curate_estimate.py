"""The words of a dry run of `invdpo curate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invdpo.schemas.io.text import count_noun, format_bytes, format_seconds

if TYPE_CHECKING:
    from invdpo.curate.checkpoints.model_files import StoredModel
    from invdpo.curate.diagnostics.estimate import CurationEstimate, StepEstimate
    from invdpo.curate.diagnostics.token_costs import TokenCosts


def estimate_text(estimate: CurationEstimate) -> str:
    """One figure a line."""
    steps = [step for step in estimate.steps if step.images]
    rows = [("prompts", f"{estimate.prompts:,}")]
    rows += [(step.step, _step_text(step)) for step in steps]
    models = {model.name: model for step in steps for model in step.models}
    rows += [("model", f"{model.name}: {_model_text(model)}") for model in models.values()]
    for step in estimate.steps:
        if step.asking:
            rows.append((f"asking, {step.step}", _asking_text(step.asking)))
    if len(rows) > 1:  # a step that looks at images, or asks
        unknown = "not known" if estimate.download_bytes is None else ""
        rows.append(("to download", unknown or format_bytes(estimate.download_bytes or 0)))
        rows.append(("disk", _disk_text(estimate)))
        rows.append(("time", _time_text(estimate.seconds, [s for s in steps if s.note])))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _step_text(step: StepEstimate) -> str:
    count = count_noun(step.images, "image")
    if step.seconds_each is None or step.seconds is None:
        return f"{count}; {step.note}"
    return f"{count}, about {step.seconds_each:.3g} s each: {format_seconds(step.seconds)}"


def _model_text(model: StoredModel) -> str:
    if model.bytes is None or model.missing_bytes is None:
        return "size unknown: not on this machine, and the Hub can't be reached"
    if not model.missing_bytes:
        return f"here, {format_bytes(model.bytes)}"
    return f"{format_bytes(model.missing_bytes)} of {format_bytes(model.bytes)} to download"


def _asking_text(costs: TokenCosts) -> str:
    read = "input not known yet" if costs.tokens_in is None else f"about {costs.tokens_in:,} in"
    questions = count_noun(costs.questions, "question")
    parts = [
        f"{questions}, tokens: {read}, at most {costs.most_tokens_out:,} out",
        "" if costs.most_cost is None else f"cost: at most {costs.most_cost:,.4g}",
        "" if costs.budget_tokens is None else f"budget: {costs.budget_tokens:,} tokens",
        "" if costs.budget_cost is None else f"budget: {costs.budget_cost:g}",
    ]
    return "; ".join(filter(None, parts))


def _disk_text(estimate: CurationEstimate) -> str:
    size = estimate.image_bytes
    images = "not known" if size is None else f"about {format_bytes(size)}"
    free = "" if estimate.free_bytes is None else f"; free: {format_bytes(estimate.free_bytes)}"
    return f"{images} of images{free}"


def _time_text(seconds: float, left_out: list[StepEstimate]) -> str:
    without = f", without {', '.join(step.step for step in left_out)}" if left_out else ""
    return f"about {format_seconds(seconds)}{without}, measured by a few calls on this machine"
