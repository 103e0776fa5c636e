"""The results of a dry run in words, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invdpo.schemas.io.text import count_noun, format_bytes, format_seconds
from invdpo.train.diagnostics.estimate import Estimate
from invdpo.train.diagnostics.requirements import Requirements
from invdpo.train.diagnostics.timing import Measured

Row = tuple[str, str]
MEASURED = "measured by a few calls on this machine"


def estimate_text(estimate: Estimate) -> str:
    """The results of a dry run, one per line."""
    missing = estimate.lacking
    skipped = ", ".join(f"{count:,} x {reason}" for reason, count in estimate.skipped.items())
    rows = [
        ("pairs", f"{estimate.pairs:,} to train on, {estimate.validation_pairs:,} for validation"),
        ("skipped", skipped or "none (images are not decoded yet)"),
        (
            "to read",
            f"{count_noun(estimate.images, 'image')}, {count_noun(estimate.prompts, 'prompt')}",
        ),
        ("cache", f"{estimate.cache}: holds {format_bytes(estimate.cached_bytes)}"),
        (
            "to be cached",
            f"{format_bytes(missing.bytes)}: {count_noun(missing.trajectories, 'trajectory')}, "
            f"{count_noun(missing.images, 'image')}, {count_noun(missing.prompts, 'prompt')}",
        ),
        ("free on disk", format_bytes(estimate.free_bytes)),
        (
            "UNet forwards",
            f"{estimate.cache_forwards:,} to fill the cache, {estimate.train_forwards:,} "
            f"to train, {estimate.validation_forwards:,} to validate",
        ),
    ]
    if required := estimate.required:
        rows += [
            ("counted", reason_to_count(estimate.without_weights)),
            *requirement_rows(required),
            ("work", _work(required, estimate)),
        ]
    cache_seconds, train_seconds = estimate.cache_seconds, estimate.train_seconds
    if cache_seconds is not None and train_seconds is not None:
        rate = f"at {estimate.tflops:g} TFLOP/s, reading and saving aside" if required else MEASURED
        time = (
            f"about {format_seconds(cache_seconds)} to fill the cache, "
            f"{format_seconds(train_seconds)} to train, {rate}"
        )
        rows.append(("time", time))
    elif required:
        rows.append(("time", "not known without weights; --tflops derives it from a rate"))
    if estimate.measured:
        rows.append(("memory", _memory(estimate.measured)))
    return "\n".join(f"{name:<16} {value}" for name, value in rows)


def reason_to_count(missing: Sequence[str]) -> str:
    """Why nothing was measured; `missing` are the components without weights."""
    reason = f"no weights of {', '.join(missing)}" if missing else "--tflops was given"
    return f"from the configurations ({reason}); nothing was measured"


def requirement_rows(required: Requirements) -> Iterator[Row]:
    """Sizes and memory of one training."""
    parts = ", ".join(f"{name} {_millions(n)}" for name, n in required.parameters.items())
    yield "parameters", f"{parts}; LoRA {_millions(required.lora_parameters)}"
    width, height = required.size
    graph, less = map(format_bytes, (required.graph_bytes, required.checkpointed_bytes))
    yield (
        "graph",
        f"at least {graph} a sample at {width} x {height}, {less} with --gradient-checkpointing",
    )
    share = required.prompt_bytes / required.pair_bytes
    text = f"{format_bytes(required.prompt_bytes)} ({share:.0%}) for a prompt of {required.tokens}"
    yield "a pair's cache", f"{format_bytes(required.pair_bytes)}, of which {text} tokens"
    for tuning, held in required.fixed_bytes.items():
        yield f"stays, {tuning}", _memory_parts(held)
    stages = "; then ".join(_memory_parts(stage) for stage in required.phase_one)
    yield "phase one", f"{stages}; one call's activations beside them"
    samples = f"a graph of {count_noun(required.samples, 'sample')}"
    yield "phase two", f"at least {format_bytes(required.phase_two)} with {samples}"


def _work(required: Requirements, estimate: Estimate) -> str:
    """FLOPs of a sample and of both phases."""
    forward, step = (f"{n / 1e12:,.3g}" for n in (required.forward_flops, required.step_flops))
    phases = (f"{(n or 0) / 1e15:,.3g}" for n in (estimate.cache_flops, estimate.train_flops))
    cache, train = phases
    return (
        f"{forward} TFLOPs a forward of a sample, {step} forward and backward; in all "
        f"{cache} PFLOPs to fill the cache, {train} to train"
    )


def _memory(measured: Measured) -> str:
    graph = f"graph of {count_noun(measured.samples, 'sample')}"
    return _memory_parts(measured.fixed_bytes | {graph: measured.graph_bytes})


def _memory_parts(parts: dict[str, int]) -> str:
    named = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
    return f"{format_bytes(sum(parts.values()))}: {named}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} million" if count >= 1e5 else f"{count:,}"
