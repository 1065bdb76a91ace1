"""An independent reference: one replica, float64, plain autograd, written from the protocols' equations.

It shares no code with the engine and is obvious rather than fast. Weights go in and come out as [in, out];
``feedback[l]`` is B_l transposed, [C, d], so that a_l = e B_lᵀ reads ``e @ feedback[l]``.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "tanh": nn.Tanh}


class Block(nn.Module):
    """The residual branch f = W2 · act(W1 · LN(h)); adding h is the network's business."""

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.w1 = nn.Linear(width, hidden)
        self.act = ACTIVATIONS[activation]()
        self.w2 = nn.Linear(hidden, width)

    def forward(self, h: Tensor) -> Tensor:
        """Return f(h), shape [n, d]."""
        return self.w2(self.act(self.w1(self.norm(h))))


class Network(nn.Module):
    """Embedding, L blocks, optional terminal layer norm, head; sizes are read off the weights."""

    def __init__(self, weights: dict[str, np.ndarray], activation: str, skip: bool, terminal_norm: bool) -> None:
        super().__init__()
        features, width = weights["embedding.weight"].shape
        classes = weights["head.weight"].shape[1]
        depth = len([name for name in weights if name.endswith(".w1.weight")])
        hidden = [weights[f"block_{i}.w1.weight"].shape[1] for i in range(depth)]
        self.skip = skip
        self.embedding = nn.Linear(features, width)
        self.blocks = nn.ModuleList([Block(width, m, activation) for m in hidden])
        self.out_norm = nn.LayerNorm(width) if terminal_norm else None
        self.head = nn.Linear(width, classes)
        self.double()
        self.load(weights)

    def layers(self) -> dict[str, nn.Linear | nn.LayerNorm]:
        """Every layer that has parameters, under its public name."""
        named: dict[str, nn.Linear | nn.LayerNorm] = {"embedding": self.embedding}
        for i, block in enumerate(self.blocks):
            named[f"block_{i}.norm"] = block.norm
            named[f"block_{i}.w1"] = block.w1
            named[f"block_{i}.w2"] = block.w2
        if self.out_norm is not None:
            named["head.norm"] = self.out_norm
        named["head"] = self.head
        return named

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each part: embedding, block_0, …, head (which includes the terminal norm)."""
        grouped: dict[str, list[nn.Parameter]] = {}
        for name, layer in self.layers().items():
            grouped.setdefault(name.split(".")[0], []).extend([layer.weight, layer.bias])
        return grouped

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Copy the given values in; refuse missing or surplus names."""
        layers = self.layers()
        expected = {f"{name}.{kind}" for name in layers for kind in ("weight", "bias")}
        if expected != set(weights):
            raise ValueError(f"weights do not fit the network: {sorted(expected ^ set(weights))}")
        with torch.no_grad():
            for name, layer in layers.items():
                weight = torch.tensor(weights[f"{name}.weight"], dtype=torch.float64)
                bias = torch.tensor(weights[f"{name}.bias"], dtype=torch.float64)
                if isinstance(layer, nn.Linear):
                    weight = weight.T
                if weight.shape != layer.weight.shape or bias.shape != layer.bias.shape:
                    raise ValueError(f"{name}: wrong shape")
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)

    def dump(self) -> dict[str, np.ndarray]:
        """Return the present values under the same names, linear weights as [in, out]."""
        values = {}
        for name, layer in self.layers().items():
            weight = layer.weight.detach()
            if isinstance(layer, nn.Linear):
                weight = weight.T
            values[f"{name}.weight"] = weight.numpy().copy()
            values[f"{name}.bias"] = layer.bias.detach().numpy().copy()
        return values

    def logits(self, h: Tensor) -> Tensor:
        """Return head(LN_out(h)), or head(h) without the terminal norm."""
        return self.head(h if self.out_norm is None else self.out_norm(h))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return h_0 … h_L, f_0(h_0) … f_{L−1}(h_{L−1}) and the logits."""
        states = [self.embedding(x)]
        branches = []
        for block in self.blocks:
            h = states[-1]
            f = block(h)
            branches.append(f)
            states.append(h + f if self.skip else f)
        return states, branches, self.logits(states[-1])


def output_error(logits: Tensor, y: Tensor) -> Tensor:
    """Return e = softmax(logits) − onehot(y), [n, C], without any 1/n."""
    return functional.softmax(logits, dim=1) - functional.one_hot(y, logits.shape[1])


def mean_squared_norm(f: Tensor) -> Tensor:
    """Return mean_n ‖f‖²: summed over d, averaged over samples."""
    return (f**2).sum(dim=1).mean()


def dfa_backward(
    model: Network, feedback: list[Tensor], x: Tensor, y: Tensor, strength: float, frozen: set[str]
) -> None:
    """Put every part's own DFA gradient into ``.grad``; no weight changes here."""
    with torch.no_grad():  # the forward pass: each objective below sees its input detached
        states, _, logits = model(x)
        e = output_error(logits, y)
        teaching = []  # â_l = a_l / (rms over d of a_l + 1e-6)
        for b in feedback:
            a = e @ b
            rms = (a**2).mean(dim=1, keepdim=True).sqrt()
            teaching.append(a / (rms + 1e-6))

    if "head" not in frozen:  # head and LN_out: cross entropy on detached h_L
        functional.cross_entropy(model.logits(states[-1]), y).backward()

    for i, block in enumerate(model.blocks):  # block l: mean ⟨f_l, â_l⟩ + λ · mean ‖f_l‖² on detached h_l
        if f"block_{i}" not in frozen:
            f = block(states[i])
            objective = (f * teaching[i]).sum(dim=1).mean() + strength * mean_squared_norm(f)
            objective.backward()

    if "embedding" not in frozen:  # embedding: mean ⟨E x, â_0⟩ with block 0's feedback
        (model.embedding(x) * teaching[0]).sum(dim=1).mean().backward()


def bp_backward(model: Network, x: Tensor, y: Tensor, strength: float) -> None:
    """Put the gradient of cross entropy + λ · Σ_l mean_n ‖f_l‖² into ``.grad``."""
    _, branches, logits = model(x)
    loss = functional.cross_entropy(logits, y)
    for f in branches:
        loss = loss + strength * mean_squared_norm(f)
    loss.backward()


def train(
    *,
    weights: dict[str, np.ndarray],
    feedback: list[np.ndarray],
    batches: list[list[tuple[np.ndarray, np.ndarray]]],
    rule: str,
    strength: float,
    frozen: set[str],
    lr: float,
    weight_decay: float,
    schedule: str,
    clip: float | None = 1.0,
    activation: str = "gelu",
    skip: bool = True,
    terminal_norm: bool = True,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> dict[str, np.ndarray]:
    """Train one network by DFA or BP on the given batches (a list per epoch) and return its final weights.

    ``clip`` bounds each block's gradient norm under DFA; embedding and head are not clipped, nor is anything under BP.
    """
    if rule not in ("dfa", "bp"):
        raise ValueError(f"unknown rule: {rule}")
    if schedule not in ("cosine", "constant"):
        raise ValueError(f"unknown schedule: {schedule}")
    model = Network(weights, activation, skip, terminal_norm)
    parts = model.parts()
    if unknown := frozen - set(parts):
        raise ValueError(f"unknown parts: {sorted(unknown)}")
    if rule == "dfa" and len(feedback) != len(model.blocks):
        raise ValueError("one feedback matrix per block")
    b = [torch.tensor(matrix, dtype=torch.float64) for matrix in feedback]

    for part in frozen:  # no gradient of their own; gradients still pass through them under BP
        for parameter in parts[part]:
            parameter.requires_grad_(False)
    trained = {part: parameters for part, parameters in parts.items() if part not in frozen}
    if not trained:
        return model.dump()
    if rule == "dfa":
        groups = list(trained.values())
    else:
        groups = [[parameter for parameters in trained.values() for parameter in parameters]]
    optimizers = [
        torch.optim.AdamW(group, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay) for group in groups
    ]
    schedulers = []
    if schedule == "cosine":
        schedulers = [torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=len(batches)) for o in optimizers]

    for epoch in batches:
        for x_array, y_array in epoch:
            x = torch.tensor(x_array, dtype=torch.float64)
            y = torch.tensor(y_array, dtype=torch.int64)
            for optimizer in optimizers:
                optimizer.zero_grad()
            # 1. all gradients, from the weights as they were before this step
            if rule == "dfa":
                dfa_backward(model, b, x, y, strength, frozen)
                if clip is not None:
                    for part, parameters in trained.items():
                        if part.startswith("block_"):
                            nn.utils.clip_grad_norm_(parameters, clip)
            else:
                bp_backward(model, x, y, strength)
            # 2. only then the updates
            for optimizer in optimizers:
                optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return model.dump()


def direction(
    weights: dict[str, np.ndarray],
    feedback: list[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    *,
    activation: str = "gelu",
    skip: bool = True,
    terminal_norm: bool = True,
) -> dict[str, np.ndarray]:
    """Compare the feedback's direction with the true gradient on a probe batch.

    Returns ``g`` and ``a`` [L+1, n, d] (rows of g carry 1/n, rows of a do not), ``cosine``, ``g_norm``, ``a_norm`` and
    ``h_norm`` [L+1, n], ``growth`` [n] = max_l ‖h_{l+1}‖ / ‖h_l‖, and the scalars ``accuracy`` and ``loss``.
    """
    model = Network(weights, activation, skip, terminal_norm).eval()
    depth = len(model.blocks)
    if len(feedback) != depth:
        raise ValueError("one feedback matrix per block")
    inputs = torch.tensor(x, dtype=torch.float64)
    labels = torch.tensor(y, dtype=torch.int64)
    states, _, logits = model(inputs)
    loss = functional.cross_entropy(logits, labels)
    g = torch.stack(torch.autograd.grad(loss, states)).numpy()

    e = output_error(logits.detach(), labels).numpy()
    matrices = [np.asarray(matrix, dtype=np.float64) for matrix in feedback]
    a = np.stack([e @ matrices[min(i, depth - 1)] for i in range(depth + 1)])  # B_{L−1} serves l = L too
    h = torch.stack(states).detach().numpy()

    g_norm, a_norm, h_norm = (np.sqrt((v**2).sum(axis=2)) for v in (g, a, h))
    # Rows are normalised one by one, so that the floor only guards 0/0 and never shrinks a small gradient's cosine.
    cosine = ((a / np.maximum(a_norm, 1e-30)[..., None]) * (g / np.maximum(g_norm, 1e-30)[..., None])).sum(axis=2)
    return {
        "g": g,
        "a": a,
        "cosine": cosine,
        "g_norm": g_norm,
        "a_norm": a_norm,
        "h_norm": h_norm,
        "growth": (h_norm[1:] / h_norm[:-1]).max(axis=0),
        "accuracy": np.float64((logits.argmax(dim=1) == labels).double().mean().item()),
        "loss": np.float64(loss.item()),
    }
