"""What is meant by a flag that there isn't: other trainers' names for the same option."""

from __future__ import annotations

from collections.abc import Collection

MEANT: dict[str, tuple[str, ...]] = {
    "base-model": ("model",),
    "batch": ("batch-size",),
    "bs": ("batch-size",),
    "bsz": ("batch-size",),
    "cfg": ("guidance-scale",),
    "cfg-scale": ("guidance-scale",),
    "epoch": ("max-steps",),
    "epochs": ("max-steps",),
    "grad-accum": ("gradient-accumulation-steps",),
    "guidance": ("guidance-scale",),
    "inference-steps": ("num-inference-steps",),
    "lora-r": ("lora-rank",),
    "lr": ("learning-rate",),
    "max-train-epochs": ("max-steps",),
    "max-train-steps": ("max-steps",),
    "mixed-precision": ("dtype",),
    "n": ("num-prompts", "num-candidates"),
    "num-epochs": ("max-steps",),
    "num-images": ("num-candidates",),
    "num-samples": ("num-candidates",),
    "num-steps": ("max-steps", "num-inference-steps"),
    "num-train-epochs": ("max-steps",),
    "out": ("output",),
    "output-dir": ("output",),
    "precision": ("dtype",),
    "pretrained-model-name-or-path": ("model",),
    "rank": ("lora-rank",),
    "size": ("resolution",),
    "steps": ("max-steps", "num-inference-steps"),
    "train-batch-size": ("batch-size",),
    "warmup": ("warmup-steps",),
    "wd": ("weight-decay",),
}
"""A name without its dashes -> the options that it may stand for."""


EPOCHS = (
    "The length of a training is given in steps: EPOCHS x training pairs / (batch size x gradient "
    "accumulation steps x processes). --dry-run shows the number of pairs."
)
"""What a flag for epochs is answered with, beside the option for steps."""


def meant_by(flag: str, options: Collection[str]) -> list[str]:
    """Those of a command's `options` that a flag means, such as `--learning-rate` for `--lr`.

    Where two sections have one, and so no option is `--batch-size`, `--score-batch-size` and the
    like are meant.
    """
    wanted = MEANT.get(flag.lstrip("-").replace("_", "-").lower(), ())
    return [option for name in wanted for option in _called(name, options)]


def answer(flag: str, options: Collection[str]) -> str:
    """What to say of a flag that there isn't; nothing where nobody knows what it means."""
    meant = meant_by(flag, options)
    text = f"No such option: {flag}. Did you mean {' or '.join(meant)}?" if meant else ""
    return f"{text} {EPOCHS}" if meant and "epoch" in flag.lower() else text


def _called(name: str, options: Collection[str]) -> list[str]:
    if f"--{name}" in options:
        return [f"--{name}"]
    return [o for o in sorted(options) if o.startswith("--") and o.endswith(f"-{name}")]
