"""What is checked before a round begins: what was made before, and that prompts suffice."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from invdpo.curate import steps
from invdpo.curate.evaluation.judgement_changes import changed_judgement
from invdpo.curate.generators.specs import model_specs
from invdpo.curate.runner import RunOptions, tally
from invdpo.curate.storage.parts import list_parts
from invdpo.curate.workspace import Workspace
from invdpo.rounds.changes import accept_changes
from invdpo.rounds.record import NAME, Record, RoundResult, read_record
from invdpo.rounds.round_plan import BASE, RoundPlan
from invdpo.rounds.stopping import ALL_RIGHT, has_figure, main_figure
from invdpo.schemas import ConfigError, DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.improve import SET_BY_ROUNDS
from invdpo.schemas.io.text import count_noun

SECTIONS = ("prompts", "generate", "annotate", "score", "pair", "dataset", "train", "improve")
"""Sections that decide what the rounds come to."""
JUDGES = ("annotate", "score", "pair")
"""Steps that look at images or at scores."""


def open_record(plan: RoundPlan, *, change_options: bool = False) -> Record:
    """What is done; nothing yet for a new folder.

    How pairs are chosen may change as long as there are none, other options from one round to the
    next if `change_options` says so.
    """
    require_one_model(plan)
    _require_own_options(plan.config)
    _require_format(plan.config)
    decisive = {name: getattr(plan.config, name).fingerprint() for name in SECTIONS}
    decisive = _by_content(decisive | {"eval": {"seed": plan.config.eval.seed}})
    record = read_record(plan.root)
    if record is None:
        return Record(decisive)
    # records of earlier versions do not name it
    record = replace(record, config=_by_content({"eval": decisive["eval"], **record.config}))
    before = record.config.get("pair")
    if len(record.results) < 2 and not plan.workspace(1).pairs_path.exists():
        record = replace(record, config={**record.config, "pair": decisive["pair"]})
    chosen_again = before != record.config.get("pair")
    record = accept_changes(plan, record, decisive, allowed=change_options)
    for result in record.results:
        require_model(plan, result)
    # the scorer that weighs most decides at which guidance scale the base model counts
    return replace(record, results=()) if chosen_again else record


def _by_content(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the name of a revision: `require_comparable` looks at the commit it stands for."""
    prompts = {k: v for k, v in config.get("prompts", {}).items() if k != "hub_revision"}
    return {**config, "prompts": prompts}


def require_judges(
    plan: RoundPlan, record: Record, *, command: str | None = None, offline: bool = False
) -> None:
    """Report, before anything is generated, what would stop a later step.

    `command` is what the user typed, for a refusal.

    Raises `ConfigError` where the embedded model's judges were left to judge another one's images,
    `WorkspaceError` where pairs are chosen by a scorer that is none of these, and what judges raise
    that lack their weights; with `offline` not for want of the Hub.
    """
    model = plan.config.generate.model
    typed = f"invdpo improve {shlex.quote(str(plan.root))} --model {shlex.quote(model)}"
    # those that judged the base model were chosen then
    config = plan.curation(1, 0) if record.results else plan.config
    steps.check(plan.workspace(1), config, RunOptions(dry_run=offline), JUDGES, command or typed)


def require_comparable(plan: RoundPlan, record: Record) -> None:
    """Raise `WorkspaceError` where the next model would be judged otherwise than the base model.

    So where the file of the prompts or the weights of a judge changed, whose names are the same.
    """
    if not record.results:
        return
    scale = record.results[0].guidance_scale
    ws, config = plan.validation(BASE, scale), plan.judging(BASE, scale)
    if changes := changed_judgement(ws, config):
        lines = "\n  ".join(changes)
        raise WorkspaceError(
            f"{ws.root}: the models of these rounds were compared on other prompts or by other "
            f"judges.\n  {lines}\nRestore what they were (of prompts on the Hub by --hub-revision "
            "COMMIT), or use another folder."
        )


def require_one_model(plan: RoundPlan) -> None:
    """Raise `ConfigError` for LoRAs, and for several models: none of them is the one meant.

    `WorkspaceError` for the folder of a workspace, whose tables are not those of rounds.
    """
    generate = plan.config.generate
    if named := [*generate.models, *generate.loras, *filter(None, [generate.lora])]:
        text = f"generate.model: found {', '.join(named)}; rounds improve one model without LoRAs."
        raise ConfigError(f"{text} Name one.")
    if Workspace(plan.root).prompts_path.exists():
        raise WorkspaceError(
            f"{plan.root}: a workspace of `invdpo curate`, not a folder of rounds. Give another "
            "folder."
        )


def _require_own_options(config: Config) -> None:
    """Raise `ConfigError` for options of a file that the rounds set, so that they would be lost.

    The order of prompts that are read is always shuffled, and the model is that of `generate`.
    """
    for section, names in SET_BY_ROUNDS.items():
        options = getattr(config, section)
        for name in filter(options.is_used, names):
            value, same = getattr(options, name), getattr(config.generate, name, None)
            if name != "shuffle" and value != same:
                text = "the rounds set it themselves. Leave it out."
                raise ConfigError(f"{section}.{name}: found {value}; {text}")


def _require_format(config: Config) -> None:
    if config.train.tuning == "lora" and config.train.lora_format != "diffusers":
        raise ConfigError(
            f"train.lora_format: found {config.train.lora_format}; the LoRA of a round is what the "
            "next one continues from, in the format of diffusers. Leave it out."
        )


def require_model(plan: RoundPlan, result: RoundResult) -> None:
    """Raise `WorkspaceError` where the model of a finished round is gone or changed.

    So too for the base model, number 0.
    """
    if not result.number:
        if revision_of(plan, 0) != result.revision:
            raise WorkspaceError(
                f"{plan.config.generate.model}: the base model is not the one that was evaluated "
                f"and that the rounds in {plan.root} build on. Restore it, or use another folder."
            )
        return
    path = plan.tuned(result.number)
    way_out = (
        f"Restore it, or remove {plan.folder(result.number)} and all later rounds, and their "
        f"entries in {plan.root / NAME}."
    )
    if not path.exists():
        raise WorkspaceError(f"{path}: the model of round {result.number} is missing. {way_out}")
    if revision_of(plan, result.number) != result.revision:
        raise WorkspaceError(
            f"{path}: the model of round {result.number} is not the one that was evaluated and "
            f"that later rounds build on. {way_out}"
        )


def revision_of(plan: RoundPlan, number: int) -> str:
    """Hash of the weights of a round's model."""
    generate = plan.config.generate.model_copy(update=plan.generator(number))
    return model_specs(generate)[0].revision


def require_figure(plan: RoundPlan, result: RoundResult) -> None:
    """Raise `DataError` where no validation image of a model has the figure that rounds go by."""
    figure = main_figure(plan.config)
    if has_figure(result, figure):
        return
    scorer = "composition" if figure == ALL_RIGHT else figure
    ws, reasons = plan.validation(result.number, result.guidance_scale), Counter[str]()
    folder = ws.scores_dir(scorer)
    for part in list_parts(folder):
        reasons += tally(part)[1]
    images = count_noun(result.judgement["images"], "validation image")
    why = f" ({'; '.join(f'{n} x {text}' for text, n in reasons.most_common(3))})"
    model = f"the model of round {result.number}" if result.number else "the base model"
    way_out = (
        f"See {plan.tuned(result.number) / 'curves'}: its training may have failed. The rounds "
        f"before it are kept: invdpo report {plan.root}"
        if result.number
        else "Choose scorers and annotators that can judge these prompts and images, such as "
        "--scorers clip for prompts without a scene graph, and another folder"
    )
    raise DataError(
        f"{folder}: {figure}, by which rounds are compared, has no value for {model}: it was found "
        f"for none of {images}{why if reasons else ''}. {way_out}."
    )


def require_prompts(plan: RoundPlan, record: Record) -> None:
    """Raise `DataError` when the source has too few prompts for the rounds that are left."""
    options, each = plan.config.improve, plan.config.prompts.num_prompts
    made = max(0, len(record.results) - 1)
    if made >= options.rounds:
        return
    rounds, used = options.rounds - made, record.used_prompts
    if options.repeat_prompts:
        rounds, used = 1, 0
    have = _prompts_left(plan, rounds * each, used)
    if have < rounds * each:
        more = "more " if used else ""
        need = f"one {more}round needs" if rounds == 1 else f"{rounds} {more}rounds of {each} need"
        ways = [f"Give more prompts{' in another folder' if record.results else ''}"]
        fewer_rounds = f"fewer rounds (--rounds {made + have // each})"
        ways += [fewer_rounds] if have >= each and rounds > 1 else []
        fewer = f"fewer prompts per round (--num-prompts {have // rounds})"
        ways += [fewer] if have >= rounds else []
        validation = f"in addition to the {options.validation_prompts} for validation"
        found = f"{have} {validation}"
        if used:
            found = f"{have} left, {validation} and the {used} used so far"
        raise DataError(
            f"Too few prompts: {found}, and {need} {rounds * each}. {', or '.join(ways)}."
        )


def _prompts_left(plan: RoundPlan, enough: int, used: int) -> int:
    """How many prompts the source has beyond those that were used, counted up to `enough`."""
    config, options = plan.next_prompts(enough, used), RunOptions(dry_run=True)
    try:
        return steps.make_prompts(Workspace(plan.root), config, options).planned
    except DataError:
        if used:  # earlier rounds have taken all
            return 0
        raise
