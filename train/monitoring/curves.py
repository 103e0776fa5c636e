"""The curves of a run as one PNG, drawn from its metrics.jsonl."""

from __future__ import annotations

from pathlib import Path

from invdpo.schemas.io.files import replacing_file
from invdpo.train.checkpoint.metrics_file import read_rows

PANELS = {
    "loss": ("loss", "running/loss", "validation/loss"),
    "implicit reward": ("rewards/chosen", "rewards/rejected"),
    "margin": ("rewards/margins", "running/rewards/margins", "validation/rewards/margins"),
    "accuracy": (
        "rewards/accuracies",
        "running/rewards/accuracies",
        "validation/rewards/accuracies",
    ),
    "margin by noise level (1 cleanest)": tuple(f"rewards/margins_noise_{n}" for n in (1, 2, 3, 4)),
    "error of the chosen": ("errors/chosen", "errors/chosen_reference"),
    "gradient norm": ("grad_norm",),
    "learning rate": ("learning_rate",),
}
"""Title of each panel, and the metrics in it."""

Series = dict[str, tuple[list[int], list[float]]]


def read_series(path: Path) -> Series:
    """Steps and values of every metric of a metrics.jsonl."""
    series: Series = {}
    for row in read_rows(path):
        for name, value in row.items():
            steps, values = series.setdefault(name, ([], []))
            steps.append(row["step"])
            values.append(value)
    return series


def plot_curves(metrics: Path, picture: Path) -> Path:
    """Draw the panels into a PNG file; its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure, series = Figure(figsize=(16, 6), layout="constrained"), read_series(metrics)
    FigureCanvasAgg(figure)
    for position, (title, names) in enumerate(PANELS.items(), 1):
        axes = figure.add_subplot(2, 4, position)
        for name in (n for n in names if n in series):
            mark = "o-" if name.startswith("validation/") else "-"
            axes.plot(*series[name], mark, label=name, linewidth=1, markersize=3)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    with replacing_file(picture) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
    return picture
