"""Learning rules, which turn an error into updates.

A rule states the objective that each parameter descends, as one differentiable scalar per replica, and stops gradients
(detach) where credit does not flow. The training step differentiates, clips, and updates; all updates of a step use
the weights from before the step, because they come from one backward pass.

Around this scalar a rule may have tensors of its own (``RuleTensors``): fixed ones, ones that the arm's optimizer
trains along, ones that are drawn anew at every step, and fixed ones that it changes itself after the update.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from harness.batched.specs import DrawSpec, Init, TensorSpec
from harness.errors import HarnessError
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin, read_capability
from harness.schedules import Schedule

if TYPE_CHECKING:
    from torch import Tensor

OWN = "rule/"
"""Beginning of the name of every tensor that a rule has trained along."""
CREDIT_EPS = 1e-6
"""Number that is added to the root mean square by which credit is divided."""
BackwardInit = Literal["like_weights", "normal"]
"""Distribution of matrices that stand in for weights on the way back."""


@dataclass(frozen=True)
class Objective:
    """The result of one batch, each [r]."""

    descend: Tensor
    """The scalar whose gradient the parameters descend (for local rules a sum of surrogates, not a loss)."""
    loss: Tensor
    """Mean loss of the batch, of the arm's kind, detached: the training loss that is reported."""


class Flops(NamedTuple):
    """Floating-point operations of the products of training on one sample.

    What is done number by number is left out (activations, norms, penalties, the optimizer), as is usual (Kaplan et al.
    2020, arXiv 2001.08361): with d units it is some d per sample and layer, and the products are d².
    """

    forward: int
    """Operations of the forward pass."""
    backward: int
    """Operations of everything after it: the error's way to the weights, and the gradients of the weights."""

    @property
    def total(self) -> int:
        """Operations of both."""
        return self.forward + self.backward


class FixedCredit(NamedTuple):
    """Credit c_l = u M_l of every site, with matrices M_l [C, d] that no step changes.

    It says what ``direct_feedback`` feeds back, for steps that compute it without ``objective``.
    """

    fed: Literal["error", "sign", "targets", "centred"] = "error"
    """Vector u of a sample: the error e, its sign, −t for t = onehot(y), or 1/C − t."""
    normalize: Literal["sample", "batch", "none"] = "sample"
    """Divisor of credit: its root mean square + 1e-6, over the units of a sample or all samples of a replica."""
    per_block: bool = True
    """True if feedback is a matrix per block, in order, and the embedding takes the first. Otherwise
    ``Rule.project_classes`` returns M_0 … M_L."""


class Rule(Plugin):
    """Interface of a learning-rule plug-in. Only ``objective`` must be there."""

    gives_credit: ClassVar[bool] = False
    """True if ``credit`` gives each layer the vector a_l of the published protocol, for ``credit_cosine``."""
    gives_site_credit: ClassVar[bool] = True
    """True if the gradient of the objective at the output of a part is the credit that trains this part, so that it can
    be measured. False for rules that act on parameters, or whose passes with gradients see different inputs."""
    pairs_weights: ClassVar[bool] = False
    """True if the objective gives the model a ``Pair`` in the place of weights."""
    is_direct: ClassVar[bool] = False
    """True if the error reaches every state by a matrix of its own, which ``project_classes`` returns."""
    learns: ClassVar[bool] = True
    """True if the rule is expected to beat chance. False for a control."""
    local: ClassVar[bool] = False
    """True if no gradient of the objective passes from part to part, so that nothing reaches what lies before a frozen
    block."""
    needs_decay: ClassVar[bool] = False
    """True if tensors that are trained along approach the weights only under a weight decay."""
    backward: ClassVar[Literal["through", "direct_feedback"] | None] = None
    """Path of the error to the weights, for steps that compute it without ``objective``; None leaves it to autograd.

    ``through``: the gradient of mean cross entropy + Σ_l penalty(f_l) through the whole network, as ``rules/bp.py``.
    ``direct_feedback``: every block descends on its own projection of the error, as ``rules/dfa.py``; a class that
    defines ``fixed_credit`` has it too. A declaration holds for the class that makes it, not for its subclasses, and
    only while no parameter changes the equations (``has_plain_backward``); clipping is declared by ``clip_norms``. A
    rule that declares one has no tensors but feedback.
    """

    clip: Annotated[float | None, Unit("1")] = Field(
        default=None, gt=0, exclude_if=lambda value: value is None, examples=[1.0]
    )
    """Largest gradient norm per block and replica, by which longer gradients are shortened; null (default) switches
    clipping off."""

    @property
    def strengths(self) -> Mapping[str, tuple[float, Schedule]]:
        """Numbers that follow a schedule: name → value that the factor of an epoch multiplies; by default, none.

        They come among the feedback, as tensors without axes. A measurement has the values themselves.
        """
        return {}

    @property
    def credit_scales(self) -> tuple[str, ...]:
        """Names of the parameters that only multiply all gradients of a tensor, in every step, by one number.

        Without clipping or a penalty they have no effect under an optimizer that divides the scale of gradients out
        again (``Optimizer.ignores_scale``). By default, none.
        """
        return ()

    def find_idle(self, model: Model) -> Mapping[str, str]:
        """Return the parameters that, as they are set, change nothing, each with the reason; by default, none."""
        return {}

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Tell whether weights that all begin at zero get no credit in some layer, or the same for all its units.

        ``depth`` is the model's number of blocks; it is ``silent`` if its states are zero where its weights are. By
        default, False: a rule whose feedback differs between units.
        """
        return False

    @property
    def has_plain_backward(self) -> bool:
        """True if the equations that ``backward`` declares are the rule's with these parameters; by default, always."""
        return True

    @property
    def fixed_credit(self) -> FixedCredit | None:
        """Error that is fed back under ``direct_feedback``; None if these parameters have credit of another form.

        By default, that of ``rules/dfa.py`` as it is by default.
        """
        return FixedCredit()

    @property
    def defines_credit(self) -> bool:
        """True if ``credit`` is defined with these parameters; by default, if the class gives it."""
        return self.gives_credit

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return the specs of the random tensors that nothing but ``evolve`` changes; none by default."""
        return ()

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return the specs of tensors that the arm's optimizer trains along; none by default.

        Their names begin with ``rule/``. ``objective`` finds them in ``p``, and they descend it too. Those of a
        ``group`` that is a part of the model are frozen with it; none is clipped with it, but ``clip_norms`` may name a
        group of their own.
        """
        return ()

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return the specs of tensors that are drawn anew at every step, and come in ``feedback``; none by default."""
        return ()

    def evolve(self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the new values of the feedback tensors that change, after the update, which ``p`` has seen.

        ``feedback`` holds this step's draws too. No gradient is taken here. By default, nothing changes.
        """
        return {}

    @property
    def evolves(self) -> bool:
        """True if the rule changes its feedback, which then belongs to what training has learned."""
        return type(self).evolve is not Rule.evolve

    def clip_norms(self, model: Model) -> Mapping[str, float]:
        """Return the maximum gradient norm per parameter group and replica; groups not named are not clipped.

        By default ``clip`` for every block: neither embedding nor head is clipped.
        """
        if self.clip is None:
            return {}
        return {f"block_{layer}": self.clip for layer in range(model.depth)}

    def list_untrained(self, model: Model) -> frozenset[str]:
        """Return the names of the model's parameters that the objective doesn't depend on; by default, none."""
        return frozenset()

    def explain_misfit(self, model: Model) -> tuple[str, str] | None:
        """Return why the rule isn't defined for a model, in words after its name, and a remedy; None if it is.

        By default, it is defined for every model.
        """
        return None

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of training a model with these ``frozen`` parts on one sample; None if not known.

        A rule that overrides ``objective`` overrides this too.
        """
        return None

    @abstractmethod
    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[..., Tensor] | None,
        loss: Loss,
    ) -> Objective:
        """Compute a batch: x [r, n, i], labels y int64 [r, n].

        ``penalty`` maps a block's f_l and its h_{l+1}, both [r, n, d], to λ·value [r]; without the second, a penalty of
        states fails. ``loss`` is the arm's: the rule takes its error e from it.
        """

    def project_classes(
        self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor], classes: Tensor
    ) -> Sequence[Tensor]:
        """Return what the ``classes``, one-hot [r, c, c], bring to h_l, l = 0 … L: B of each state, [r, c, …]."""
        raise NotImplementedError(f"rule {self.name} has no matrix for each state")

    def credit(self, model: Model, feedback: Mapping[str, Tensor], error: Tensor, layer: int) -> Tensor:
        """Return a_l [r, n, d] for l = 0 … L from the error e of the arm's loss [r, n, c]."""
        raise NotImplementedError(f"rule {self.name} gives no credit vector")


def find_backward(rule: Rule) -> Literal["through", "direct_feedback"] | None:
    """Return the equations that steps may compute without the rule's ``objective``; None leaves it to autograd."""
    if not rule.has_plain_backward:
        return None
    declared: Literal["through", "direct_feedback"] | None = read_capability(rule, "backward")
    if declared == "direct_feedback" or "fixed_credit" in vars(type(rule)):
        return None if rule.fixed_credit is None else "direct_feedback"
    return declared


class RuleTensors(NamedTuple):
    """The specs of all tensors that a rule has beside a model's."""

    feedback: tuple[TensorSpec, ...] = ()
    own: tuple[TensorSpec, ...] = ()
    """Tensors that are trained along."""
    draws: tuple[DrawSpec, ...] = ()

    @classmethod
    def of(cls, rule: Rule, model: Model, features: int, classes: int) -> RuleTensors:
        """Return a rule's tensors.

        Raises:
            HarnessError: The rule isn't defined for the model, or names of its tensors are not told apart from one
                another or from the model's.
        """
        where = f"rule {rule.name} with model {model.name}"
        if (misfit := rule.explain_misfit(model)) is not None:
            raise HarnessError(f"the rule {misfit[0]}", where=where, remedy=misfit[1])
        sizes = (model, features, classes)
        found = cls(rule.feedback(*sizes), rule.parameters(*sizes), rule.draws(*sizes))
        given = [spec.name for spec in found.feedback] + [spec.name for spec in found.draws]
        owned = [spec.name for spec in found.own]
        for name in sorted({name for name in (*given, *owned) if (given + owned).count(name) > 1}):
            raise HarnessError(f"two tensors of this rule are called {name!r}", where=where, remedy="rename one")
        for name in owned:
            if not name.startswith(OWN):
                message = f"the rule trains a tensor called {name!r}, which may be one of the model's"
                raise HarnessError(message, where=where, remedy=f"begin its name with {OWN}")
        for spec in model.parameters(features, classes):
            if spec.name.startswith(OWN):
                message = f"the model has a tensor called {spec.name!r}; such names are those of rules"
                raise HarnessError(message, where=where, remedy=f"don't begin its name with {OWN}")
        return found


def descend_through(
    model: Model,
    p: Mapping[str, Tensor],
    x: Tensor,
    y: Tensor,
    penalty: Callable[..., Tensor] | None,
    loss: Loss,
) -> Objective:
    """Compute mean loss + Σ_l penalty(f_l) in one forward pass, in which nothing is detached.

    What passes back through a weight is its own, or that of its ``Pair``.
    """
    h = model.embed(p, x)
    blocks = []
    for layer in range(model.depth):
        f = model.branch(p, layer, h)
        h = model.join(h, f)
        blocks.append((f, h))
    value = loss.value(model.head(p, h), y).mean(-1)
    descend = value
    if penalty is not None:
        for f, joined in blocks:
            descend = descend + penalty(f, joined)
    return Objective(descend=descend, loss=value.detach())


def pair_weights(p: Mapping[str, Tensor], backward: Mapping[str, Tensor], *, learns: bool = False) -> dict[str, Any]:
    """Return ``p`` with a ``Pair`` in the place of each weight that ``backward`` has a matrix for, by its name."""
    from harness.batched.layers import Pair

    return {**p, **{name: Pair(p[name], matrix, learns) for name, matrix in backward.items()}}


def list_paired(model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
    """Return the specs of the weights that need a way back: all but the first, before which nothing is trained."""
    return model.weights(features, classes)[1:]


def list_backward(
    model: Model, features: int, classes: int, init: BackwardInit, prefix: str = ""
) -> tuple[TensorSpec, ...]:
    """Return the specs of a B of its shape for every weight that needs one, under the weight's name after ``prefix``.

    It is of the weight's group, and so frozen with it if it is trained.
    """
    return tuple(
        TensorSpec(f"{prefix}{spec.name}", spec.shape, choose_init(spec, init), spec.group)
        for spec in list_paired(model, features, classes)
    )


def choose_init(weight: TensorSpec, init: BackwardInit) -> Init:
    """Return the distribution of a matrix that stands in for a weight [in, out] on the way back.

    Of a weight that begins as a constant, which would be no feedback, it is ``normal`` in any case.
    """
    if init == "like_weights" and weight.init.kind != "constant":
        return weight.init
    return Init("normal", math.prod(weight.shape[:-1]) ** -0.5)


def count_through(model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
    """Return 2·in·out per product: forward, for the gradient of trained weights, and for that of what goes in.

    The last is needed only where something before the product is trained. A penalty adds no product.
    """
    products = model.products(features, classes)
    if products is None:
        return None
    backward, reached = 0, False
    for product in products:
        trained = product.group not in frozen
        reached = reached or (trained and product.follows)
        backward += product.flops * (trained + reached if product.weighted else 2 * reached)
        reached = reached or trained
    return Flops(sum(product.flops for product in products), backward)
