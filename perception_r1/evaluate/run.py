"""All questions of a benchmark under all conditions to one model; a shard that is there is not asked again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from perception_r1.benchmarks.item import Benchmark, Item
from perception_r1.child import write_progress
from perception_r1.errors import EvaluationFailed
from perception_r1.evaluate import demonstrations, fallback
from perception_r1.evaluate.cache import Response
from perception_r1.evaluate.conditions import captioned, donors, shown, windows
from perception_r1.evaluate.engines import Asked, Engine
from perception_r1.evaluate.perceived import Perceiver
from perception_r1.evaluate.predict import prediction
from perception_r1.evaluate.spec import EvalSpec
from perception_r1.records import Prediction
from perception_r1.sections import Condition
from perception_r1.table import write


@dataclass(slots=True)
class Shard:
    """The items of one window under one condition, and what was said so far."""

    items: list[Item]
    condition: Condition
    sample: int
    path: Path
    examples: list[demonstrations.Example]  # that may be shown before a question
    said: dict[int, Response] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every item has its response."""
        return len(self.said) == len(self.items)


def answer(
    spec: EvalSpec,
    benchmark: Benchmark,
    engine: Engine,
    finder: fallback.Finder | None = None,
    perceiver: Perceiver | None = None,
) -> None:
    """Writes the predictions of every shard that is not there; raises EvaluationFailed where responses are missing."""
    spec.folder.mkdir(parents=True, exist_ok=True)
    open_shards: dict[str, Shard] = {}
    silent: list[str] = []
    done, total = 0, _total(spec, benchmark)
    for asked, response in engine.respond(_questions(spec, benchmark, open_shards)):
        shard = open_shards[asked.shard]
        if response.error and not response.for_good:
            silent.append(response.error)
            continue
        shard.said[asked.place] = response
        done += 1
        if shard.whole:
            write(shard.path, _predictions(spec, benchmark, shard, finder, perceiver), Prediction)
            del open_shards[asked.shard]
        if shard.whole or done % spec.batch == 0:
            write_progress(spec.folder, min(done, total), total)
    if not silent and not any(spec.predictions.glob("*.parquet")):
        raise EvaluationFailed(f"no item of {spec.benchmark} was drawn; raise evaluate.items, or 0 for all")
    if silent:
        raise EvaluationFailed(
            f"{len(silent):,} questions of {spec.benchmark} got no response ({silent[-1]}); what was answered is "
            "kept, and the same command asks the rest"
        )


def _total(spec: EvalSpec, benchmark: Benchmark) -> int:
    """About how many responses there will be."""
    rows = sum(part.rows for part in benchmark.DATA.parts) if benchmark.DATA else spec.items
    return (spec.items or spec.data.rows or rows or 1) * (len(spec.conditions) + spec.samples)


def _questions(spec: EvalSpec, benchmark: Benchmark, open_shards: dict[str, Shard]) -> Iterator[Asked]:
    """What is still to be asked, in a stable order."""
    bank = demonstrations.bank(spec.demonstrations)
    items = captioned(benchmark.items(spec.items, spec.items_seed, spec.data), spec.data.captions)
    for number, window in enumerate(windows(items)):
        swapped = donors(window) if "shuffled" in spec.conditions else {}
        for condition, sample in _turns(spec):
            name = f"{condition}-{sample:03}-{number:06}"
            path = spec.predictions / f"{name}.parquet"
            if path.exists():
                continue
            open_shards[name] = Shard(window, condition, sample, path, bank)
            for place, item in enumerate(window):
                problem = shown(item, condition, swapped.get(item.problem.id))
                before, pictures = demonstrations.before(spec.demonstrations, bank, item.problem, spec.instruction)
                yield Asked(name, place, problem, sample, before, pictures)


def _turns(spec: EvalSpec) -> Iterator[tuple[Condition, int]]:
    """The conditions, greedy, then the samples of the untouched picture."""
    yield from ((condition, 0) for condition in spec.conditions)
    yield from (("full", sample) for sample in range(1, spec.samples + 1))


def _predictions(
    spec: EvalSpec,
    benchmark: Benchmark,
    shard: Shard,
    finder: fallback.Finder | None,
    perceiver: Perceiver | None,
) -> list[Prediction]:
    """The shard's responses, graded and read for facts, in the order of its items."""
    rows = [_prediction(spec, benchmark, shard, place) for place in range(len(shard.items))]
    rows = fallback.found(finder, benchmark, shard.items, rows) if finder else rows
    before = (demonstrations.chosen(spec.demonstrations, shard.examples, item.problem) for item in shard.items)
    rows = [demonstrations.marked(row, examples) for row, examples in zip(rows, before, strict=True)]
    return perceiver.verdicts(rows) if perceiver else rows


def _prediction(spec: EvalSpec, benchmark: Benchmark, shard: Shard, place: int) -> Prediction:
    said = shard.said[place]
    return prediction(
        model=spec.model,
        seed=spec.seed,
        benchmark=spec.benchmark,
        module=benchmark,
        item=shard.items[place],
        condition=shard.condition,
        sample=shard.sample,
        response=said.text,
        tokens=said.tokens,
        truncated=said.truncated,
        failed=said.error,
    )
