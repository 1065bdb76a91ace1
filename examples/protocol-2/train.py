"""Train the residual MLP of protocol 2 by backpropagation under a penalty, on scikit-learn's digits, in plain PyTorch.

Nothing of harness is used: h_{l+1} = h_l + W2·gelu(W1·LN(h_l)), the logits are a linear map of LN(h_L), and the loss is
cross entropy plus strength · Σ_l mean ‖h_{l+1} − h_l‖². A line of results is written for every epoch.
"""

import argparse
import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent


class Block(nn.Module):
    """What a block adds to the stream."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.w1, self.w2 = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)
        nn.init.normal_(self.w2.weight, std=0.01)
        nn.init.zeros_(self.w2.bias)

    def forward(self, h):
        """Return f(h)."""
        return self.w2(functional.gelu(self.w1(self.norm(h))))


class Network(nn.Module):
    """Embedding, blocks, and a head behind a layer norm."""

    def __init__(self, width, blocks):
        super().__init__()
        self.embedding = nn.Linear(64, width)
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))

    def forward(self, x):
        """Return the logits, and Σ_l mean ‖f_l‖²."""
        h, penalty = self.embedding(x), 0.0
        for block in self.blocks:
            f = block(h)
            h, penalty = h + f, penalty + f.square().sum(1).mean()
        return self.head(h), penalty


class AdamW:
    """AdamW as PyTorch's: importing that one takes longer than all that is trained here."""

    def __init__(self, parameters, rate, decay, betas=(0.9, 0.999), eps=1e-8):
        self.parameters, self.rate, self.decay, self.betas, self.eps = list(parameters), rate, decay, betas, eps
        self.means = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, scale):
        """Descend by the gradients, with ``scale`` times the rate."""
        self.steps += 1
        rate, (first, second) = self.rate * scale, self.betas
        for p, (m, v) in zip(self.parameters, self.means, strict=True):
            p.mul_(1 - rate * self.decay)
            m.lerp_(p.grad, 1 - first)
            v.mul_(second).addcmul_(p.grad, p.grad, value=1 - second)
            spread = (v / (1 - second**self.steps)).sqrt() + self.eps
            p.addcdiv_(m / (1 - first**self.steps), spread, value=-rate)
            p.grad = None


def load_digits():
    """Return training and test images and labels; test.txt lists the images that are set apart."""
    (folder,) = find_spec("sklearn").submodule_search_locations
    rows = np.loadtxt(Path(folder, "datasets/data/digits.csv.gz"), delimiter=",")
    x = torch.tensor((rows[:, :-1] / 16 - 0.3053) / 0.3760, dtype=torch.float32)
    y = torch.tensor(rows[:, -1], dtype=torch.int64)
    apart = np.zeros(len(rows), dtype=bool)
    apart[np.loadtxt(HERE / "test.txt", dtype=int)] = True
    return x[~apart], y[~apart], x[apart], y[apart]


def main():
    """Train once, by the command's arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--strength", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    torch.manual_seed(told.seed % 2**63)
    torch.set_num_threads(1)
    x, y, x_test, y_test = load_digits()
    network = Network(width=32, blocks=2)
    optimizer = AdamW(network.parameters(), rate=3e-3, decay=0.01)
    with told.out.open("w") as results:
        for epoch in range(1, told.epochs + 1):
            scale = (1 + math.cos(math.pi * (epoch - 1) / told.epochs)) / 2
            for batch in torch.randperm(len(x)).split(64):
                logits, penalty = network(x[batch])
                loss = functional.cross_entropy(logits, y[batch]) + told.strength * penalty
                loss.backward()
                optimizer.step(scale)
            with torch.no_grad():
                accuracy = (network(x_test)[0].argmax(1) == y_test).double().mean().item()
            results.write(json.dumps({"epoch": epoch, "test_accuracy": accuracy}) + "\n")


if __name__ == "__main__":
    main()
