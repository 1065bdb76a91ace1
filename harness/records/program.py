"""A program that trains and measures arms in harness's place: its command, what is pinned of it, and what it promises.

An arm of a program differs from others by its ``parameters`` alone. In records that hold a learning rule, a data set, a
model and an optimizer, plug-ins named ``program`` stand for what the program does by itself, and ``declared`` for what
it measures (``harness.plugins.registry.HIDDEN``); ``harness.spec.programs`` puts them there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema, model_validator

from harness.adapters import Adapter
from harness.plugins.fields import Unit
from harness.plugins.registry import find_members
from harness.records.base import Name, Ordered, Record, Text
from harness.wording import suggest

PARSER = 1
"""Version of the rules by which a program's results become measurements (``harness.programs.parse``)."""
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
PLAIN = r"[^\x00-\x1f\x7f]{1,400}"
"""A path on one line."""
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
OWN_PLACEHOLDERS = ("seed", "seed_index", "arm", "out", "resume", "image")
"""Placeholders of a command beside the arm's parameters and ``input.<name>``."""
OWN_VARIABLES = (
    "PATH", "HOME", "LANG", "HARNESS_SEED", "HARNESS_OUT", "HARNESS_RESUME", "HARNESS_REPLICA", "CUDA_VISIBLE_DEVICES",
    "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH",
)  # fmt: skip
"""Variables of a command's environment without any that the file names."""


def _matching(pattern: str, what: str, example: str) -> Any:
    """Return what makes a string one of a certain form, and says so of any other."""

    def require(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            shown = text if len(text) <= 60 else f"{text[:57]}…"
            raise ValueError(f"{shown!r} is no {what}: write, for example, {example}")
        return text

    return AfterValidator(require)


def _extra(pattern: str) -> Any:
    return Field(json_schema_extra={"pattern": f"^({pattern})$"})


TIME, SIZE = r"[0-9]{1,9}(\.[0-9]{1,9})? ?(s|min|h|d)", r"[0-9]{1,9}(\.[0-9]{1,9})? ?(kB|MB|GB|TB)"
DIGEST, IMAGE = r"[0-9a-f]{64}", r"[^\s@]{1,300}@sha256:[0-9a-f]{64}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
Duration = Annotated[str, _matching(TIME, "length of time", "90 s, 30 min, 2 h or 1.5 d"), _extra(TIME)]
Size = Annotated[str, _matching(SIZE, "size", "500 MB or 10 GB"), _extra(SIZE)]
Image = Annotated[str, _matching(IMAGE, "image with its digest", "registry/name@sha256: and 64 digits"), _extra(IMAGE)]
Variable = Annotated[str, _matching(VARIABLE, "name of a variable", "WANDB_MODE"), _extra(VARIABLE)]


def _refuse_outside(path: str) -> str:
    parts = path.split("/")
    odd = not re.fullmatch(PLAIN, path) or "\\" in path
    if odd or path.startswith("/") or ".." in parts or "" in parts[:-1]:
        raise ValueError(f"{path!r} is not a path below the project: write it with slashes, without .. and /")
    return path.rstrip("/") or "."


RelativePath = Annotated[
    str,
    AfterValidator(_refuse_outside),
]
"""A path below the project, with slashes and without ``..``."""
Sha256 = Annotated[str, _matching(DIGEST, "SHA-256", "what sha256sum FILE prints, 64 of 0-9 and a-f"), _extra(DIGEST)]
Bound = Annotated[Ordered, WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}]})]
"""An end of an interval, which may be open."""
Parameter = bool | int | float | Annotated[str, StringConstraints(max_length=1000)]


class Code(Record):
    """The program's code, as git has it."""

    git: tuple[RelativePath, ...] = Field(default=(".",), min_length=1, examples=[["experiments/sgd", "lib"]])
    """Folders and files below the project whose contents are pinned and copied for every replica. By default, the whole
    project."""


class Input(Record):
    """A file that the program reads and that git doesn't hold."""

    path: Annotated[str, _matching(PLAIN, "path", "data/corpus.bin")] = Field(examples=["data/corpus.bin"])
    """Path of the file, from the project's folder."""
    sha256: Sha256 = Field(examples=["0" * 64])
    """SHA-256 of its bytes, in lower-case hexadecimal."""


class Again(Record):
    """Rule for repeating a replica that ended through no fault of the program. Its own failures are never repeated."""

    when: tuple[Literal["preempted", "killed"], ...] = Field(min_length=1, examples=[["preempted"]])
    """Kinds of ends after which the same seed is run again. preempted: exit code 75, or SIGTERM from outside; killed:
    SIGKILL from outside, which may also be the system's answer to a program that takes too much memory."""
    times: Annotated[int, Unit("times")] = Field(default=1, ge=1, le=100)
    """Largest number of repetitions per replica. Each is listed in the verdict."""


class Program(Record):
    """A command that trains and measures one replica of an arm and writes its results to a file."""

    command: tuple[Annotated[str, StringConstraints(max_length=4000)], ...] = Field(
        min_length=1, examples=[["python", "train.py", "--seed", "{seed}", "--out", "{out}"]]
    )
    """Command and its arguments, one by one: no shell reads them. Placeholders: {seed}, {seed_index}, {arm}, {out} (the
    folder for results), {resume} (a folder that is kept if the replica is begun again), {image}, {input.NAME} and the
    names of the arms' parameters. Braces that are no placeholder are doubled: {{ and }}."""
    folder: RelativePath = "."
    """Folder below the project in which the command runs, in a frozen copy of the code. By default, the project's."""
    code: Code = Code()
    """Code that is pinned and copied. By default, the whole project as git has it."""
    lock: RelativePath = Field(examples=["uv.lock"])
    """File that names the versions of the packages that the program uses; its digest is pinned. ``none`` says that
    there is none, and the verdict repeats it."""
    image: Image | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=["registry/x@sha256:" + "0" * 64]
    )
    """Container image with its digest, for a command that runs one by {image}. By default, none."""
    inputs: dict[Name, Input] = Field(default_factory=dict)
    """Files that the program reads and git doesn't hold, each under the name by which the command calls it. By default,
    none."""
    timeout: Duration = Field(examples=["2 h"])
    """Longest time that a replica may take, in s, min, h or d. After it the replica has failed."""
    size: Size = "10 GB"
    """Largest size of all files that a replica may write, in kB, MB, GB or TB. Beyond it the replica has failed."""
    again: Again | None = None
    """Rule for repeating a replica that was preempted or killed. By default, none is."""
    deterministic: bool = False
    """Promise that the same seed gives the same results to the byte, to which ``harness replicate`` holds the program.
    By default, a rerun agrees as ``replication`` says."""
    environment: tuple[Variable, ...] = Field(default=(), examples=[["WANDB_MODE"]])
    """Names of variables that the command is given from the user's environment beside the usual ones. Only their names
    are recorded. By default, none."""

    @property
    def seconds(self) -> float:
        """Longest time of a replica, in seconds."""
        number, unit = _split(self.timeout)
        return number * SECONDS[unit]

    @property
    def bytes(self) -> int:
        """Largest size of what a replica writes, in bytes."""
        number, unit = _split(self.size)
        return round(number * BYTES[unit])

    @property
    def has_lock(self) -> bool:
        """True if a lock file is pinned."""
        return self.lock != "none"

    @model_validator(mode="after")
    def _without_null(self) -> Program:
        if any("\0" in part for part in self.command):
            raise ValueError("an argument of the command holds a null character, which no system takes")
        return self

    def list_placeholders(self) -> tuple[str, ...]:
        """Return the placeholders of the command, each once, in order; braces that are doubled are none."""
        found = (
            name for part in self.command for name in PLACEHOLDER.findall(part.replace("{{", "").replace("}}", ""))
        )
        return tuple(dict.fromkeys(found))


def fill(command: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command with its placeholders replaced and doubled braces made single.

    Raises:
        KeyError: A placeholder has no value.
    """
    pattern = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
    return tuple(pattern.sub(lambda one: values[one[1]] if one[1] is not None else one[0][0], part) for part in command)


def write_parameter(value: Parameter) -> str:
    """Write a parameter's value as the command is given it: true, 3, 0.0001, text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


class MetricSpec(Record):
    """A metric that a program measures, as far as harness must know it."""

    built_in: bool = Field(default=False, exclude_if=lambda value: not value)
    """True if it is harness's own metric of that name, which arms that harness trains have too: it can then be compared
    between both kinds of arms. Its bounds and so on are harness's, and the program must measure what that metric is. By
    default, it is the program's own."""
    bounds: Annotated[tuple[Bound, Bound], Unit("the metric's unit")] = Field(
        default=(-math.inf, math.inf), examples=[[0, 1]]
    )
    """Smallest and greatest possible value; "inf" or "-inf", in quotes, where there is none. A value beyond them means
    that the replica has failed: a percentage, say, where a fraction is declared. By default, none."""
    unit: Annotated[str, _matching(r"[^=,\x00-\x1f]{0,40}", "unit", "fraction")] = Field(
        default="", exclude_if=lambda value: not value, examples=["fraction"]
    )
    """Unit of the value. By default, none."""
    label: Annotated[str, _matching(r"[^=\x00-\x1f]{1,100}", "name for figures", "Test accuracy")] | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=["Test accuracy"]
    )
    """Name in figures and verdicts. By default, the metric's own."""
    resolution: Annotated[float | None, Unit("the metric's unit")] = Field(
        default=None, gt=0, exclude_if=lambda value: value is None, examples=[0.0001]
    )
    """Step between possible values, such as 1/n of an accuracy on n samples. Seeds that differ by less can't be told
    apart. By default, it is not known."""
    layers: Annotated[int | None, Unit("layers")] = Field(
        default=None, ge=1, le=10_000, exclude_if=lambda value: value is None, examples=[5]
    )
    """Number of layers, for a metric with one value per layer; an estimand then names its layer, from 0. By default,
    one value."""
    worst: Annotated[float | None, Unit("the metric's unit")] = Field(
        default=None, exclude_if=lambda value: value is None, examples=[0.0]
    )
    """Value of a replica that diverged or failed, where the exclusions ask for the worst case. By default, none."""
    better: Literal["higher", "lower"] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Direction in which the metric is better. By default, neither is."""
    log: bool = Field(default=False, exclude_if=lambda value: not value)
    """True to show the metric on a logarithmic axis. By default, the axis is linear."""

    @model_validator(mode="after")
    def _in_order(self) -> MetricSpec:
        if self.built_in and self.model_dump(exclude={"built_in"}) != type(self)().model_dump(exclude={"built_in"}):
            raise ValueError("of a metric of harness's own nothing else is declared: it has its bounds and so on")
        low, high = self.bounds
        if low >= high:
            raise ValueError(f"the bounds {low} and {high} are not in order: write [smallest, greatest]")
        if self.worst is not None and not low <= self.worst <= high:
            raise ValueError(f"the worst value {self.worst} lies outside the bounds")
        return self

    def describe(self) -> dict[str, Any]:
        """Return the fields of the plug-in ``declared`` that stands for the metric, None for those left out."""
        low, high = self.bounds
        return {
            "low": low if math.isfinite(low) else None,
            "high": high if math.isfinite(high) else None,
            "words": self.label,
            "units": self.unit or None,
            "step": self.resolution,
            "lowest": self.worst,
            "layers": self.layers,
            "log": self.log or None,
            "direction": self.better,
        }


FORMS = ("json", "jsonl", "csv")
"""Forms of results that are harness's own."""


def list_forms() -> tuple[str, ...]:
    """Return the forms that results may have: harness's own, and adapters that read one run."""
    adapters = cast("Mapping[str, type[Adapter]]", find_members("adapters"))
    return (*FORMS, *(name for name, kind in adapters.items() if not kind.tells_runs))


def _require_form(form: str) -> str:
    known = list_forms()
    if form not in known:
        meant = suggest(form, known) or ":"
        raise ValueError(f"no form of results is called {form!r}{meant} known are {', '.join(known)}")
    return form


Form = Annotated[str, AfterValidator(_require_form)]


class Results(Record):
    """The file into which the program writes what it measured."""

    form: Form = Field(default="json", examples=["json"])
    """Form of the file. json (default): one object; jsonl: one object a line, {"epoch": 1, "test_accuracy": 0.9}; csv:
    a header and a row for each value (epoch, metric, layer, value) or for each epoch (epoch, test_accuracy, …). Or an
    adapter, which reads what another tool writes: tensorboard, lightning_csv and so on."""
    file: RelativePath = Field(default="metrics.json", examples=["metrics.json"])
    """Path of the file below {out}. For an adapter it may hold ``*`` for a part that differs from run to run; exactly
    one file must fit."""
    names: dict[Name, Annotated[str, _matching(PLAIN, "name", "val/accuracy")]] = Field(
        default_factory=dict, exclude_if=lambda value: not value, examples=[{"test_accuracy": "val/accuracy"}]
    )
    """Metric → its name in the file, where that is another one. By default, none is."""
    steps_per_epoch: Annotated[int, Unit("steps")] = Field(
        default=1, ge=1, le=10**9, exclude_if=lambda value: value == 1, examples=[100]
    )
    """Number of the tool's steps in an epoch, for adapters of tools that count steps. What is at other steps than its
    multiples is left out. By default, a step is an epoch."""
    epochs: Annotated[int, Unit("epochs")] = Field(default=1, ge=1, le=100_000)
    """Last epoch at which the program measures. By default, 1: it measures once, in the end, and names no epoch."""
    every_epochs: Annotated[int, Unit("epochs")] = Field(default=1, ge=1)
    """Interval between evaluations: epoch 1, every multiple of this and the last must be in the file. Others may be,
    and are left out."""

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that reads the file; None if it has a form of harness's own."""
        if self.form in FORMS:
            return None
        return cast("Adapter", find_members("adapters")[self.form].model_validate({"name": self.form}))

    @model_validator(mode="after")
    def _for_adapters(self) -> Results:
        adapter = self.adapter
        if adapter is not None and "**" in self.file:
            raise ValueError("** in the file fits any number of folders: write a * for each of them")
        if self.steps_per_epoch != 1 and (adapter is None or not adapter.counts_steps):
            raise ValueError(f"steps_per_epoch is for adapters of tools that count steps, and {self.form} has epochs")
        return self


class ProgramPins(Record):
    """All that a registration fixes of a program, and that a run is held against."""

    commit: str
    """Git commit whose contents are pinned."""
    trees: dict[str, str]
    """Path below the project → git object id of the tree or file there."""
    lock: Sha256 | None
    """SHA-256 of the lock file; None if the file says that there is none."""
    image: str | None = None
    """Container image with its digest."""
    inputs: dict[Name, Sha256] = Field(default_factory=dict)
    """Input → SHA-256 of its bytes."""
    parser: Annotated[int, Unit("1")] = PARSER
    """Version of the rules by which results are read."""


class ReplicaRun(Record):
    """Circumstances in which a replica of a program was run."""

    arm: Name
    """Name of the arm."""
    seed_index: Annotated[int, Unit("1")]
    """Position in the list of seeds, counted from 0."""
    log: Sha256
    """SHA-256 of what is kept of its output, a file in the run's folder logs/."""
    repeated: tuple[Text, ...] = ()
    """Ends of earlier tries, in order, one sentence each."""
    unpinned: tuple[str, ...] = ()
    """Files that it opened and that are not pinned, as far as a Python program's own hook sees them."""
    changed: tuple[str, ...] = ()
    """Files of its own code that it changed in its copy while it ran."""


class ProgramRun(Record):
    """Circumstances of a run's program: the part that no built-in arm has."""

    commands: dict[Name, tuple[str, ...]]
    """Arm → command with the arm's parameters, and other placeholders as they are."""
    pins: ProgramPins
    """The program that ran."""
    replicas: tuple[ReplicaRun, ...]
    """Every replica, in the order of results.json."""


def _split(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"([0-9.]+) ?([A-Za-z]+)", text)
    assert found is not None, "the pattern of the field"
    return float(found[1]), found[2]
