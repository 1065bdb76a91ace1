"""The results of lm-evaluation-harness: a JSON file with a number per task, metric and filter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar, Literal

from harness.adapters import Adapter, BadRecord, Point


class LmEval(Adapter):
    """Results of lm-evaluation-harness: ``file: "*/results_*.json"``, whose name has the model and the time in it.

    Names are task and metric with their filter, ``hellaswag/acc_norm,none``; so are those of groups and subtasks.

    Equation:
        point = (task/metric,filter, 1, value) for every number under results

    Source:
        EleutherAI's lm-evaluation-harness, ``lm_eval --output_path``, as of version 0.4.

    Use:
        For comparisons of language models or prompts by tasks that others can repeat.

    Traps:
        Its own standard errors are over samples and say nothing about seeds. Greedy decoding ignores the seed, so that
        all seeds give the same numbers, and the outcome is invalid: vary what the seed is to vary (few-shot examples,
        fine-tuning).
    """

    name: Literal["lm_eval"]
    tool: ClassVar[str] = "lm-evaluation-harness"

    def read(self, raw: bytes) -> Iterator[Point]:
        """Yield the numbers of all tasks."""
        tasks = json.loads(raw)["results"]
        if not isinstance(tasks, dict):
            raise BadRecord("its results are no object")
        for task, entries in tasks.items():
            for name, value in entries.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    yield Point(f"{task}/{name}", 1.0, float(value))


plugin = LmEval
