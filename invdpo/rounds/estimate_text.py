"""The estimate of rounds in words."""

from __future__ import annotations

from invdpo.rounds.estimate import RoundsEstimate
from invdpo.schemas.io.text import format_bytes, format_seconds
from invdpo.train.diagnostics.estimate_text import reason_to_count, requirement_rows


def estimate_text(estimate: RoundsEstimate) -> str:
    """One figure a line."""
    rows = [
        ("rounds to do", f"{estimate.rounds}"),
        ("images to make", f"{estimate.images:,}"),
        (
            "UNet forwards",
            f"{estimate.forwards:,}, of which {estimate.training_forwards:,} in training steps",
        ),
    ]
    source = "measured by a few calls"
    if estimate.required and estimate.flops is not None:
        source = f"at {estimate.tflops:g} TFLOP/s" if estimate.tflops else ""
        rows += [
            ("counted", reason_to_count(estimate.without_weights)),
            *requirement_rows(estimate.required),
            ("work", f"{estimate.flops / 1e15:,.3g} PFLOPs in the UNet"),
        ]
    time = "not known without weights; --tflops derives it from a rate"
    if estimate.seconds is not None:
        time = f"about {format_seconds(estimate.seconds)} in the UNet, {source}"
    disk = f"about {format_bytes(estimate.bytes)}; free: {format_bytes(estimate.free_bytes)}"
    return "\n".join(f"{k:<16} {v}" for k, v in [*rows, ("time", time), ("disk", disk)])
