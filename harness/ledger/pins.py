"""The code that a result depends on, by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

import harness
from harness.ledger.code import digest_package
from harness.plugins.digests import normalise_newlines
from harness.plugins.distributions import describe_packages, list_behind
from harness.plugins.registry import HIDDEN, Plugin, digest_source, list_nested
from harness.records import Hypothesis, Record
from harness.records.program import ProgramPins

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hexadecimal."""


class Pins(Record):
    """Digests of the plug-in code and the templates, and the version of everything else."""

    harness: str
    """Version of this package."""
    code: Digest | None = None
    """Digest of all its Python files; None in registrations from before it was noted."""
    code_kinds: dict[str, Digest] = Field(default_factory=dict)
    """Kind of code → digest of its files (``harness.ledger.code``); empty in registrations from before it was noted."""
    plugins: dict[str, Digest]
    """"family/name" → digest of the file that defines it."""
    packages: dict[str, Digest] | None = None
    """Package of other people that a plug-in comes from, or that its code imports → digest of all its files; None in
    registrations from before it was noted."""
    templates: dict[str, Digest]
    """Template's path below the template folder → digest."""
    program: ProgramPins | None = Field(default=None, exclude_if=lambda value: value is None)
    """Code, lock file, image and inputs of the program that trains; None if harness trains."""
    template_bytes: dict[str, bytes] = Field(default_factory=dict, exclude=True, repr=False)
    """The templates themselves, for the ledger's objects; not part of the event."""


def pin_code(hypothesis: Hypothesis, template_folder: Path, program: ProgramPins | None = None) -> Pins:
    """Pin what a run of ``hypothesis`` uses: all plug-ins that the file names, all templates, and its program."""
    paths = sorted(template_folder.rglob("*.j2"))
    templates = {path.relative_to(template_folder).as_posix(): normalise_newlines(path.read_bytes()) for path in paths}
    code = digest_package()
    return Pins(
        harness=harness.__version__,
        code=code.digest,
        code_kinds=code.kinds,
        plugins=dict(sorted((name, digest_source(plugin)) for name, plugin in _list_used(hypothesis))),
        packages={name: package.files for name, package in describe_packages(find_modules_behind(hypothesis)).items()},
        templates={name: hashlib.sha256(data).hexdigest() for name, data in templates.items()},
        program=program,
        template_bytes=templates,
    )


def find_modules_behind(hypothesis: Hypothesis) -> tuple[str, ...]:
    """Return the top-level names of other people's modules that the plug-ins of ``hypothesis`` come from or import."""
    return list_behind(plugin for _, plugin in _list_used(hypothesis))


def _list_used(hypothesis: Hypothesis) -> Iterator[tuple[str, Plugin]]:
    """Yield every plug-in that a file names; what stands for a program is part of harness's own code."""
    for name, part in _list_parts(hypothesis):
        if part.name not in HIDDEN.get(name.partition("/")[0], ()):
            yield name, part


def _list_parts(hypothesis: Hypothesis) -> Iterator[tuple[str, Plugin]]:
    for arm in hypothesis.arms.values():
        yield f"rules/{arm.rule.name}", arm.rule
        if arm.penalty is not None:
            yield f"penalties/{arm.penalty.name}", arm.penalty
        for holder in (arm.rule, *(() if arm.penalty is None else (arm.penalty,)), arm.setup.optimizer):
            for family, part in list_nested(holder):
                yield f"{family}/{part.name}", part
        yield f"models/{arm.setup.model.name}", arm.setup.model
        yield f"datasets/{arm.setup.dataset.name}", arm.setup.dataset
        yield f"optimizers/{arm.setup.optimizer.name}", arm.setup.optimizer
        yield f"losses/{arm.setup.loss.name}", arm.setup.loss
        for metric in arm.setup.evaluation.measured:
            yield f"metrics/{metric.name}", metric
    if hypothesis.results is not None and (adapter := hypothesis.results.adapter) is not None:
        yield f"adapters/{adapter.name}", adapter
    for estimand in (*hypothesis.estimands.values(), *hypothesis.exploratory.values()):
        yield from ((f"metrics/{metric.name}", metric) for metric in estimand.metrics.values())
    for precondition in hypothesis.preconditions:
        yield f"preconditions/{precondition.name}", precondition
    for decision in hypothesis.decisions.values():
        yield f"criteria/{decision.criterion.name}", decision.criterion
