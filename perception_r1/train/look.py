"""Looks at held-out problems while a run goes on: what its model sees and answers there, and whether its judge drifts.

Each look is one small file, so that a killed run's looks are written again and not twice.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception_r1.judges import Case
from perception_r1.rewards import REWARDS
from perception_r1.rewards.repetition import repetition_reward
from perception_r1.train import ledger, scoring
from perception_r1.train.alarms import alarms
from perception_r1.train.scoring import Sample

if TYPE_CHECKING:
    import pyarrow as pa


ANCHORS = "anchors.json"


class Looker:
    """The held-out problems of a run, what was seen of them, and the best step so far."""

    def __init__(self, trainer: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self.trainer, self.rows = trainer, rows
        self.alarms: list[str] = []

    def look(self, step: int) -> bool:
        """Looks, tells what is suspicious, and returns whether this step is the best so far."""
        trainer = self.trainer
        samples = self._asked()
        seen = {"step": step, **_measured(samples), **_earned(trainer.spec.rollouts, self._last(), step)}
        seen["flips"] = self._flips(step)
        seen["score"] = _score(seen)
        before = [look for look in read(trainer.spec.looks) if look["step"] < step]
        self.alarms = alarms([*before, seen], trainer.spec.train.watch.max_flips)
        if trainer.is_world_process_zero():
            _write(trainer.spec.looks / f"{step:08}.json", seen | {"alarms": self.alarms})
            _tell(seen, self.alarms)
        trainer.accelerator.wait_for_everyone()
        best = seen["score"] > max((look["score"] for look in before), default=float("-inf"))
        if best and step:
            trainer.state.best_global_step, trainer.state.best_metric = step, seen["score"]
            trainer.state.best_model_checkpoint = str(trainer.spec.checkpoints / f"checkpoint-{step}")
        return best and step > 0

    def _last(self) -> int:
        every = self.trainer.spec.train.watch.every
        return max(0, int(self.trainer.state.global_step) - int(every))

    def _asked(self) -> list[Sample]:
        """Every process's responses to its share of the problems, scored."""
        from accelerate.utils import gather_object

        trainer = self.trainer
        mine = [self.rows[n % len(self.rows)] for n in self._my_places()]
        size = trainer.args.per_device_train_batch_size
        was_training = trainer.model.training
        trainer.model.eval()
        with _sampling(trainer, trainer.spec.train.watch.temperature):
            found = [s for start in range(0, len(mine), size) for s in self._said(mine[start : start + size])]
        trainer.model.train(was_training)
        trainer._metrics["eval"].clear()
        everyone = gather_object([found])
        # dealt in turns, so that they come back in the order of the problems; what was asked twice is behind them
        return [part[n] for n in range(len(found)) for part in everyone][: len(self.rows)]

    def _my_places(self) -> range:
        processes = self.trainer.accelerator.num_processes
        each = -(-len(self.rows) // processes)
        return range(self.trainer._process, each * processes, processes)

    def _said(self, rows: Sequence[Mapping[str, Any]]) -> list[Sample]:
        trainer = self.trainer
        _, ids, _, completions, *_ = trainer.generated([_prompt(row) for row in rows])
        ends = {*trainer.eos_token_ids, trainer._tokenizer.pad_token_id}
        samples = [
            Sample(
                {key: row[key] for key in row if key != "images"},
                said[0]["content"],
                its,
                not its or its[-1] not in ends,
            )
            for row, said, its in zip(rows, completions, ids, strict=True)
        ]
        cases = [sample.case() for sample in samples]
        judged = trainer.judge.judge(cases) if trainer.judge else [()] * len(cases)
        scoring.score(samples, judged, trainer.spec)
        return samples

    def _flips(self, step: int) -> float | None:
        """The share of the anchors' verdicts that are given otherwise than at first; None where there are none."""
        from accelerate.utils import broadcast_object_list

        told: list[float | None] = [None]
        if self.trainer.is_world_process_zero() and self.trainer.judging:
            told = [_flips(self.trainer, step)]
        broadcast_object_list(told)
        return told[0]


def read(folder: Path) -> list[dict[str, Any]]:
    """All looks, in order."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path.name != ANCHORS]


SCHEMA = [
    ("step", "int64"),
    ("problems", "int64"),
    *((name, "float64") for name in ("accuracy", "perception", "all_seen", "length", "repetition", "truncated")),
    *((name, "float64") for name in ("reward_accuracy", "reward_perception", "flips", "score")),
    ("alarms", "string"),  # one a line
]


def table(folder: Path) -> "pa.Table":
    """All looks as a table."""
    import pyarrow as pa

    kinds = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
    rows = [look | {"alarms": "\n".join(look["alarms"])} for look in read(folder)]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, kinds[kind]) for name, kind in SCHEMA]))


def _measured(samples: Sequence[Sample]) -> dict[str, Any]:
    """What the responses to the held-out problems come to."""
    completions = [sample.completion for sample in samples if sample.completion]
    seen = [REWARDS["perception"](completion) for completion in completions]
    right = [REWARDS["accuracy"](completion) for completion in completions]
    return {
        "problems": len(samples),
        "accuracy": _mean(right),
        "perception": _mean(seen),
        "all_seen": _mean([None if share is None else float(share == 1.0) for share in seen]),
        "length": _mean([float(completion.tokens) for completion in completions]),
        "repetition": _mean([repetition_reward(completion) for completion in completions]),
        "truncated": _mean([float(completion.truncated) for completion in completions]),
    }


def _earned(rollouts: Path, since: int, step: int) -> dict[str, float | None]:
    """What training earned on average since the look before."""
    import pyarrow.parquet as pq

    files = [path for path in sorted(rollouts.glob("*.parquet")) if since <= int(path.name[:8]) < step]
    rows = [row for path in files for row in pq.read_table(path, columns=["perception", "accuracy"]).to_pylist()]
    return {f"reward_{name}": _mean([row[name] for row in rows]) for name in ("perception", "accuracy")}


def _score(seen: Mapping[str, Any]) -> float:
    """What the best checkpoint is best by: held-out perception and accuracy, never the loss."""
    known = [seen[name] for name in ("perception", "accuracy") if seen[name] is not None]
    return sum(known) / len(known) if known else 0.0


def _flips(trainer: Any, step: int) -> float | None:
    path = trainer.spec.looks / ANCHORS
    if not path.exists():
        anchors = _anchors(trainer, step)
        if anchors:
            _write(path, {"step": step, "responses": anchors})
        return None
    kept = json.loads(path.read_text())
    if step <= kept["step"]:  # a run that was killed in the look that chose them looks there again
        return None
    anchors = kept["responses"]
    cases = [Case(a["text"], tuple(tuple(fact) for fact in a["facts"]), a["truncated"]) for a in anchors]
    judged = trainer.judge.fresh().judge(cases) if trainer.judge else []
    pairs = [pair for a, said in zip(anchors, judged, strict=True) for pair in zip(a["verdicts"], said, strict=True)]
    known = [(before, now.verdict) for before, now in pairs if "unknown" not in (before, now.verdict)]
    return sum(before != now for before, now in known) / len(known) if known else None


def _anchors(trainer: Any, step: int) -> list[dict[str, Any]]:
    """Responses of the first steps on which the judge itself, and not the matcher, gave a verdict."""
    facts = {row["problem"]: row for row in trainer.train_dataset.remove_columns("images")}
    found = []
    for table in ledger.read(trainer.spec.rollouts):
        # what a killed run left of later steps is not there for a run that was not killed
        done = [row for row in table.to_pylist() if row["step"] < step]
        rows = [row for row in done if row["by_judge"] and not row["unknown"]]
        found += [_anchor(row, facts[row["problem"]]) for row in rows]
        if len(found) >= trainer.spec.train.watch.anchors:
            break
    return found[: trainer.spec.train.watch.anchors]


def _anchor(row: Mapping[str, Any], problem: Mapping[str, Any]) -> dict[str, Any]:
    facts = list(zip(problem["annotation_ids"], problem["annotation_texts"], strict=True))
    verdicts = [judgement["verdict"] for judgement in row["judgements"]]
    return {"text": row["text"], "truncated": row["truncated"], "facts": facts, "verdicts": verdicts}


def _prompt(row: Mapping[str, Any]) -> Any:
    import io

    from PIL import Image
    from trl.data_utils import prepare_multimodal_messages

    pictures = [Image.open(io.BytesIO(image["bytes"])).convert("RGB") for image in row["images"]]
    return prepare_multimodal_messages(copy.deepcopy(row["prompt"]), images=pictures)


@contextmanager
def _sampling(trainer: Any, temperature: float) -> Iterator[None]:
    """The looks' own way of sampling; greedy ones draw nothing, so that training goes on as if nobody had looked."""
    holder = trainer.vllm_generation if trainer.use_vllm else trainer
    name = "temperature" if trainer.use_vllm else "generation_config"
    before = getattr(holder, name)
    changed: Any = temperature
    if not trainer.use_vllm:
        changed = copy.deepcopy(before)
        changed.do_sample = temperature > 0
        changed.temperature = temperature or None
        if not temperature:
            changed.top_k = changed.top_p = changed.min_p = None
    setattr(holder, name, changed)
    try:
        yield
    finally:
        setattr(holder, name, before)


def _tell(seen: Mapping[str, Any], told: Sequence[str]) -> None:
    shown = ", ".join(
        f"{name} {seen[name]:.3f}" for name in ("accuracy", "perception", "length") if seen[name] is not None
    )
    print(f"look after step {seen['step']}: {shown}", flush=True)
    for alarm in told:
        print(f"ALARM after step {seen['step']}: {alarm}", flush=True)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(value, ensure_ascii=False))
    partial.replace(path)
