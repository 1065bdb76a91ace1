"""Train a deep narrow network on two spirals with Lightning's Trainer, whose CSV logger writes what harness reads."""

import argparse
import math

import pytorch_lightning as lightning
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_spirals(number: int, generator: torch.Generator) -> TensorDataset:
    """Return points on two arms that wind around each other, a little beside them, and the arm of each."""
    labels = torch.arange(number) % 2
    radius = torch.rand(number, generator=generator).sqrt()
    angle = 3 * math.pi * radius + math.pi * labels
    points = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=1)
    return TensorDataset(points + 0.02 * torch.randn(number, 2, generator=generator), labels)


class Spirals(lightning.LightningModule):
    """Blocks of one hidden layer each, with or without a connection around every block."""

    def __init__(self, blocks: int, connection: bool) -> None:
        super().__init__()
        self.connection = connection
        self.first, self.last = nn.Linear(2, 16), nn.Linear(16, 2)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(blocks))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Return two scores per point."""
        hidden = self.first(points)
        for block in self.blocks:
            hidden = torch.tanh(block(hidden)) + (hidden if self.connection else 0)
        return self.last(hidden)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        points, labels = batch
        return nn.functional.cross_entropy(self(points), labels)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        """Log the share of new points that are right: one value per epoch."""
        points, labels = batch
        right = (self(points).argmax(dim=1) == labels).float().mean()
        self.log("val_accuracy", right, on_epoch=True, batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW at one rate."""
        return torch.optim.AdamW(self.parameters(), lr=3.0e-3)


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--connection", choices=("true", "false"), required=True)
parser.add_argument("--out", required=True)
told = parser.parse_args()

torch.set_num_threads(1)  # harness runs a replica per core
lightning.seed_everything(told.seed % 2**32, verbose=False)
own = torch.Generator().manual_seed(told.seed)
train = DataLoader(make_spirals(1024, own), batch_size=64, shuffle=True)
validation = DataLoader(make_spirals(1024, own), batch_size=1024)
trainer = lightning.Trainer(
    max_epochs=20,
    accelerator="cpu",
    devices=1,
    logger=CSVLogger(told.out, name=None, version=""),
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    num_sanity_val_steps=0,
    deterministic=True,
)
trainer.fit(Spirals(8, told.connection == "true"), train, validation)
