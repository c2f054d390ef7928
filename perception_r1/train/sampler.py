"""The order in which problems are dealt. TRL's sampler forgets it: a run that is resumed in its second epoch gets the
order of the first, since nothing sets its generator forward. Here an epoch's order follows from seed and epoch.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from trl.trainer.utils import RepeatSampler


class Dealt(RepeatSampler):  # type: ignore[misc, unused-ignore]
    """TRL's sampler with its generator where that of an uninterrupted run would stand; its orders are TRL's own."""

    def __init__(self, stock: Any, steps_done: Callable[[], int], iterations: int) -> None:
        super().__init__(
            stock.data_source, stock.mini_repeat_count, stock.batch_size, stock.repeat_count, stock.shuffle, stock.seed
        )
        self._steps_done = steps_done
        self._steps_an_epoch = self.num_samples // self.batch_size * iterations

    def __iter__(self) -> Iterator[int]:
        self.generator.manual_seed(self.seed or 0)
        for _ in range(self._steps_done() // self._steps_an_epoch):
            torch.randperm(self.num_samples, generator=self.generator)
        stock: Any = super()
        return iter(stock.__iter__())
