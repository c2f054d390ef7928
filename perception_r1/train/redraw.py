"""Dynamic sampling (DAPO, arXiv 2503.14476): a group from which nothing can be learnt gives its place to another one.

All processes draw whole batches of other problems together, so that none waits for another in a generation that it
takes no part in; each fills its own places with its own new groups. What was drawn is in the ledger, kept or not.
"""

import random
from collections.abc import Sequence
from typing import Any

from perception_r1.train.scoring import Sample


def replaced(trainer: Any, prompts: list[Any], output: Any, draw: int) -> Any:
    """TRL's generation output with groups that differ in place of flat ones; rows and prompts change in place."""
    size = trainer.spec.train.generations
    rows = _drawn(trainer, len(prompts) // size, draw)
    asked = [_prepared(row) for row in rows]
    fresh = trainer.generated(asked)
    old, mine = trainer._samples, _my_groups(trainer, len(prompts) // size)
    flat = [place for place, number in enumerate(mine) if trainer._verdicts.flat[number]]
    trainer._samples = trainer._begun(rows, fresh, draw)
    trainer._settle()
    good = [place for place, number in enumerate(mine) if not trainer._verdicts.flat[number]]
    new, merged = trainer._samples, [list(column) if isinstance(column, list) else column for column in output]
    taken = list(zip(flat, good, strict=False))
    for place, source in taken:
        for n in range(size):
            here, there = place * size + n, source * size + n
            trainer._rows[here], prompts[here] = rows[there], asked[there]
            for column, other in zip(merged, fresh, strict=True):
                if isinstance(column, list) and column:
                    column[here] = other[there]
    trainer._spent += _spent(old, new, taken, size)
    trainer._samples = _merged(old, new, taken, size)
    trainer._settle()
    return tuple(merged)


def _merged(old: Sequence[Sample], new: Sequence[Sample], taken: Sequence[tuple[int, int]], size: int) -> list[Sample]:
    samples = list(old)
    for place, source in taken:
        samples[place * size : (place + 1) * size] = new[source * size : (source + 1) * size]
    return samples


def _spent(old: Sequence[Sample], new: Sequence[Sample], taken: Sequence[tuple[int, int]], size: int) -> list[Sample]:
    """The samples that nothing is learnt from: those that gave their places, and those that took none."""
    gave, took = {place for place, _ in taken}, {source for _, source in taken}
    spent = [sample for n, sample in enumerate(old) if n // size in gave]
    spent += [sample for n, sample in enumerate(new) if n // size not in took]
    for sample in spent:
        sample.kept = False
    return spent


def place_of(number: int, trainer: Any) -> dict[str, Any]:
    """Where a sample that was not kept stands in the ledger: behind the groups that were."""
    size, behind = trainer.spec.train.generations, trainer.spec.train.prompts_per_step
    return {"group": behind + number // size, "sample": number % size, "advantage": None, "reward": None}


def _my_groups(trainer: Any, count: int) -> list[int]:
    """The numbers of this process's groups among those of all."""
    return list(range(trainer._process * count, (trainer._process + 1) * count))


def _drawn(trainer: Any, count: int, draw: int) -> list[Any]:
    """Rows of other problems, a group each, that follow from seed, step, draw and process."""
    step, process = trainer.state.global_step, trainer._process
    chance = random.Random(f"{trainer.spec.seed} {step} {draw} {process}")
    under_way = {row["problem"] for row in trainer._rows}
    places = chance.sample(range(len(trainer.train_dataset)), min(len(trainer.train_dataset), 4 * count))
    rows = [trainer.train_dataset[place] for place in places]
    others = [row for row in rows if row["problem"] not in under_way] or rows
    return [
        others[n // trainer.spec.train.generations % len(others)] for n in range(count * trainer.spec.train.generations)
    ]


def _prepared(row: Any) -> Any:
    """The row's prompt with its pictures in their places, as TRL prepares it."""
    from trl.data_utils import prepare_multimodal_messages

    return prepare_multimodal_messages(row["prompt"], images=row["images"])
