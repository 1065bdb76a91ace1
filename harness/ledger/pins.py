"""The code that a result depends on, by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

import harness
from harness.records import Hypothesis, Record
from harness.registry import Plugin, members, source_digest

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hexadecimal."""


class Pins(Record):
    """Digests of the plug-in code and the templates, and the version of everything else."""

    harness: str
    """Version of this package."""
    code: Digest | None = None
    """Digest of all its Python files; None in registrations from before it was noted."""
    plugins: dict[str, Digest]
    """"family/name" → digest of the file that defines it."""
    templates: dict[str, Digest]
    """Template's path below the template folder → digest."""
    template_bytes: dict[str, bytes] = Field(default_factory=dict, exclude=True, repr=False)
    """The templates themselves, for the ledger's objects; not part of the event."""


def pins(hypothesis: Hypothesis, template_folder: Path) -> Pins:
    """What a run of ``hypothesis`` uses: all plug-ins of its arms, estimands and decisions, and all templates."""
    paths = sorted(template_folder.rglob("*.j2"))
    templates = {path.relative_to(template_folder).as_posix(): path.read_bytes() for path in paths}
    return Pins(
        harness=harness.__version__,
        code=package_code(),
        plugins=dict(sorted((name, source_digest(plugin)) for name, plugin in _used(hypothesis))),
        templates={name: hashlib.sha256(data).hexdigest() for name, data in templates.items()},
        template_bytes=templates,
    )


def package_code() -> str:
    """SHA-256 over names and digests of this package's Python files, in a repository or installed."""
    package = Path(harness.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).parts):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(package).as_posix()}\n".encode())
    return digest.hexdigest()


def _used(hypothesis: Hypothesis) -> Iterator[tuple[str, Plugin]]:
    for arm in hypothesis.arms.values():
        yield f"rules/{arm.rule.name}", arm.rule
        if arm.penalty is not None:
            yield f"penalties/{arm.penalty.name}", arm.penalty
        yield f"models/{arm.setup.model.name}", arm.setup.model
        yield f"datasets/{arm.setup.dataset.name}", arm.setup.dataset
        for name in arm.setup.evaluation.metrics:
            yield f"metrics/{name}", members("metrics")[name].model_construct(name=name)
    for estimand in (*hypothesis.estimands.values(), *hypothesis.exploratory.values()):
        yield f"metrics/{estimand.metric.name}", estimand.metric
    for decision in hypothesis.decisions.values():
        yield f"criteria/{decision.criterion.name}", decision.criterion
