"""Collapse of the last hidden states onto a simplex of class means."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class NeuralCollapse(ProbeMetric):
    """Neural collapse at h_L on the probe batch (Papyan, Han and Donoho 2020, arXiv 2008.08186); 0 is complete.

    Over the C classes that have samples in the probe batch. NaN if it is one.

    Equation:
        within: tr(Σ_W Σ_B⁺)/C;  norms: sd/mean of ‖μ_c − μ̄‖;  angles: mean of |cos + 1/(C − 1)|
        disagreement: share of samples whose nearest mean is not the network's choice
        duality: ‖W/‖W‖ − M/‖M‖‖², M = (μ_c − μ̄)_c

    Source:
        Papyan, Han and Donoho 2020, arXiv 2008.08186.

    Use:
        How far training has gone into its terminal phase, or whether a rule gets there at all.

    Traps:
        The source measures on training data: set ``probe_split: train``. The estimates depend on the samples per
        class. ``within`` is large without meaning while means coincide. Unrelated W and M have a duality of 2.
    """

    name: Literal["neural_collapse"]
    of: Literal["within", "norms", "angles", "disagreement", "duality"] = Field(default="within", examples=["angles"])
    """Measured quantity. within (default, NC1): tr(Σ_W Σ_B⁺)/C, variability within classes beside that between them;
    norms (NC2): sd over mean of the means' distances from their mean; angles (NC2): mean of |cosine + 1/(C − 1)|
    between them; disagreement (NC4): share of samples whose nearest class mean is not what the network chooses;
    duality (NC3): ‖W/‖W‖ − M/‖M‖‖² of the head's last weight W and the centred means M at the features, from 0 to 4."""
    site: Literal["state", "features"] = Field(default="state", exclude_if=lambda value: value == "state")
    """States that are measured. state (default): h_L; features: what the head's last weight is multiplied by, which is
    behind a terminal norm. duality is measured there in any case."""
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "neural collapse"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def _describe(self) -> list[str]:
        return [self.of, *(["behind the norm"] if self.site == "features" else []), *super()._describe()]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values [r]."""
        from harness.batched.collapse import ClassMeans
        from harness.batched.geometry import join_samples

        network = evaluation.network
        behind = self.site == "features" or self.of == "duality"
        means = ClassMeans(join_samples(network.features if behind else evaluation.hidden[-1]), network.labels[0])
        if self.of == "duality":
            return means.duality(network.readout)
        if self.of == "disagreement":
            return means.disagreement(network.logits)
        return {"within": means.within, "norms": means.norms, "angles": means.angles}[self.of]()


plugin = NeuralCollapse
