"""Help pages that are easy to scan: options are grouped by the stage that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand

from invdpo.cli.arguments import verbosity_flags
from invdpo.cli.hints import answer

ARGUMENTS, OPTIONS, COMMON, OUTPUT = "Arguments", "Options", "Common options", "Output options"
SECTIONS = {
    "prompts": "Prompts",
    "generate": "Candidates",
    "annotate": "Annotations",
    "score": "Scores",
    "pair": "Pairs",
    "dataset": "Dataset",
    "train": "Training",
    "eval": "Evaluation",
    "improve": "Rounds",
}
"""Section of the configuration -> the heading above its options."""
WORDS = "invdpo.words"
"""Key of the context's `meta`: the words of the command line."""
VERBOSITY = "invdpo.verbosity"
"""The same for `--quiet`, `--verbose` and `--log-file`."""
TYPE = re.compile(r" <[\w\[\]]+>$")
"""What Typer adds to an argument's name; our names say what is meant."""


@contextmanager
def _hints(command: TyperCommand, ctx: Any) -> Iterator[None]:
    """Add to the error for an unknown flag what is meant by it."""
    try:
        yield
    except Exception as error:
        # the class of this error is Click's or Typer's own, by the version of Typer
        flag = getattr(error, "option_name", None)
        if flag and hasattr(error, "possibilities"):
            shown = [p for p in command.get_params(ctx) if not getattr(p, "hidden", False)]
            if text := answer(flag, {name for p in shown for name in p.opts}):
                error.possibilities = None
                error.message = text  # type: ignore[attr-defined]
        raise


def with_headings(headings: Mapping[str, str]) -> type[TyperCommand]:
    """A class of commands that show each parameter under its heading; others under `OPTIONS`."""

    class CommandWithHeadings(TyperCommand):
        """Its help page lists the headings in the order of the first parameter of each."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.params = [*self.params, *verbosity_flags()]

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Keep the words as they were typed, and from the function what no command knows."""
            # `root` is what a test calls the program
            ctx.meta[WORDS] = ["invdpo", *ctx.command_path.split()[1:], *args]
            with _hints(self, ctx):
                rest: list[str] = super().parse_args(ctx, args)
            names = [flag.name for flag in verbosity_flags()]
            ctx.meta[VERBOSITY] = {name: ctx.params.pop(name, None) for name in names}
            return rest

        def collect_usage_pieces(self, ctx: Any) -> list[str]:
            """`WORK`, as is usual, not `{WORK}`."""
            return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

        def format_options(self, ctx: Any, formatter: Any) -> None:
            """Names and help of all parameters."""
            groups: dict[str, list[tuple[str, str]]] = {}
            for parameter in self.get_params(ctx):
                if record := parameter.get_help_record(ctx):
                    is_argument = parameter.param_type_name == "argument"
                    own = OUTPUT if parameter in verbosity_flags() else OPTIONS
                    name = headings.get(str(parameter.name), own)
                    line = (TYPE.sub("", record[0]), record[1])
                    groups.setdefault(ARGUMENTS if is_argument else name, []).append(line)
            for name, records in groups.items():
                with formatter.section(name):
                    formatter.write_dl(records)

    return CommandWithHeadings
