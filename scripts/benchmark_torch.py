"""What `scripts/benchmark.py` measures of PyTorch, each function in a process of its own.

The article's network in channels_last, float32, on images that are decoded in memory, and
augmented by torchvision's transforms where asked for. The DataLoader has as many workers as are
the fastest in a short trial before.
"""

import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from benchmark_meter import Meter
from benchmark_ours import BATCH, SIDE
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from torchvision.transforms import v2

WORKERS = (0, 1, 2)
TRIAL_SECONDS = 3.0  # of each number of workers, after as many steps as they have made ahead

Batch = tuple[torch.Tensor, torch.Tensor]


class Radiographs(Dataset):
    """Images and labels in memory, [n, 1, S, S] uint8 and [n, 1] float32, by lists of numbers."""

    def __init__(self, work: Path, transform: Callable[[torch.Tensor], torch.Tensor] | None):
        images = torch.from_numpy(np.load(work / "images.npy"))
        self.images = images.permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(np.load(work / "labels.npy"))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, numbers: list[int]) -> Batch:
        images = self.images[numbers]
        if self.transform:
            images = torch.stack([self.transform(image) for image in images])
        return images, self.labels[numbers]


def torch_plain(work: Path, meter: Meter) -> None:
    """Trains without augmentation."""
    _train(Radiographs(work, None), meter)


def torch_augmented(work: Path, meter: Meter) -> None:
    """Trains with augmentation of the article's kind, each image drawn for itself."""
    transform = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(
                degrees=0,
                shear=0.2,
                scale=(0.8, 1.2),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
        ]
    )
    _train(Radiographs(work, transform), meter)


def _train(radiographs: Radiographs, meter: Meter) -> None:
    torch.manual_seed(0)
    model = _network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4, alpha=0.9, eps=1e-7)
    loss_of = nn.BCEWithLogitsLoss()

    def take_step(batch: Batch) -> None:
        images, labels = batch
        images = images.float().div(255).expand(-1, 3, -1, -1)
        images = images.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(images), labels).backward()
        optimizer.step()

    rates = {count: _rate(take_step, _batches(radiographs, count)) for count in WORKERS}
    workers = max(rates, key=rates.__getitem__)
    for batch in _batches(radiographs, workers):
        take_step(batch)
        meter.add(BATCH, workers=workers)


def _rate(take_step: Callable[[Batch], None], batches: Iterator[Batch]) -> float:
    """Returns the steps a second of a short trial."""
    for _ in range(2 * max(WORKERS) + 1):
        take_step(next(batches))
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < TRIAL_SECONDS:
        take_step(next(batches))
        steps += 1
    return steps / (time.perf_counter() - began)


def _batches(radiographs: Radiographs, workers: int) -> Iterator[Batch]:
    """Yields shuffled batches without an end."""
    sampler = BatchSampler(RandomSampler(radiographs), BATCH, drop_last=True)
    loader: DataLoader = DataLoader(
        radiographs,
        sampler=sampler,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    for _ in repeat(None):
        yield from loader


def _network() -> nn.Module:
    layers: list[nn.Module] = []
    channels, side = 3, SIDE
    for filters in (16, 32, 64, 128):
        layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = filters, (side - 2) // 2
    layers += [nn.Flatten(), nn.Linear(channels * side**2, 512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.3), nn.Linear(512, 1))
