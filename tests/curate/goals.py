"""Goals planned and run in one call."""

from __future__ import annotations

from collections.abc import Sequence

from invdpo.curate.engines import InputPart, MakeStage
from invdpo.curate.runner import Goal, RunOptions, StepResult, plan_goal, run_plans


def run_goals(
    make_stage: MakeStage, source: Sequence[InputPart], goals: Sequence[Goal], options: RunOptions
) -> list[StepResult]:
    plans = [plan_goal(source, goal, options) for goal in goals]
    return run_plans(make_stage, source, plans, options)
