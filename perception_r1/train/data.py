"""The rows that a run trains on: problems with annotations, as TRL wants them, never all of them in memory."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from perception_r1.errors import TrainingFailed
from perception_r1.prompt import messages
from perception_r1.table import rows_in
from perception_r1.train.spec import RunSpec

COLUMNS = ["id", "question", "answer", "answer_type", "choices", "images", "split"]
Length = Callable[[dict[str, Any]], int]  # of a row's prompt, in tokens


def facts_of(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The kept annotations of each problem: (id, text)."""
    facts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in pq.read_table(path, columns=["id", "problem", "text", "dropped"]).to_pylist():
        if not row["dropped"]:
            facts[row["problem"]].append((row["id"], row["text"]))
    return facts


def rows(spec: RunSpec, length: Length | None = None, counts: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
    """Every problem that the arm trains on; the others are counted under the reason that leaves them out.

    Whatever an arm is rewarded for, it trains on annotated problems, unless `train.unannotated` says otherwise.
    """
    facts, held = facts_of(spec.annotations), set(held_out(spec))
    counts = Counter() if counts is None else counts
    for problem in rows_in(spec.problems, COLUMNS):
        row = _row(problem, facts.get(problem["id"], []), spec)
        reason = _left_out(problem, row, held, spec, length)
        counts[reason or "used"] += 1
        counts["used, without annotations"] += not reason and not row["annotation_ids"]
        if not reason:
            yield row


def watched(spec: RunSpec) -> list[dict[str, Any]]:
    """The held-out problems with annotations that the watch asks about, in a stable order."""
    if not spec.train.watch.every:
        return []
    facts, held = facts_of(spec.annotations), held_out(spec)
    wanted = set(held)
    problems = (row for row in rows_in(spec.problems, COLUMNS) if row["id"] in wanted)
    found = {row["id"]: _row(row, facts[row["id"]], spec) for row in problems}
    return [found[problem] for problem in held]


def held_out(spec: RunSpec) -> list[str]:
    """The ids of the problems that are watched and not trained on: of the validation split, then by a hash."""
    if not spec.train.watch.every:
        return []
    annotated = facts_of(spec.annotations).keys()
    table = pq.read_table(spec.problems, columns=["id", "split", "answer_type"]).to_pylist()
    mine = [row for row in table if row["id"] in annotated and _is_wanted(row, spec) and row["split"] != "heldout"]
    mine.sort(key=lambda row: (row["split"] != "validation", sha256(row["id"].encode()).digest()))
    return [row["id"] for row in mine[: spec.train.watch.problems]]


def _is_wanted(problem: dict[str, Any], spec: RunSpec) -> bool:
    return not spec.answer_types or problem["answer_type"] in spec.answer_types


def _left_out(
    problem: dict[str, Any], row: dict[str, Any], held: set[str], spec: RunSpec, length: Length | None
) -> str:
    """Why a problem is not trained on; empty if it is."""
    if problem["split"] != "train":
        return "of another split"
    if not _is_wanted(problem, spec):
        return "of another answer type"
    if problem["id"] in held:
        return "held out for the watch"
    if not row["annotation_ids"] and spec.train.unannotated == "skip":
        return "without annotations"
    return "longer than max_prompt_tokens" if length and length(row) > spec.train.max_prompt_tokens else ""


def _row(problem: dict[str, Any], facts: Sequence[tuple[str, str]], spec: RunSpec) -> dict[str, Any]:
    choices = tuple(problem["choices"] or ())
    return {
        "prompt": messages(problem["question"], len(problem["images"]), choices, spec.train.instruction),
        "images": [{"bytes": image, "path": None} for image in problem["images"]],
        "problem": problem["id"],
        "answer": problem["answer"],
        "answer_type": problem["answer_type"],
        "choices": list(choices),
        "annotation_ids": [annotation for annotation, _ in facts],
        "annotation_texts": [text for _, text in facts],
    }


def prompt_length(processor: Any) -> Length:
    """How many tokens a row's prompt has, its pictures included, without looking at their pixels."""
    import io

    from PIL import Image

    merged = processor.image_processor.merge_size**2

    def length(row: dict[str, Any]) -> int:
        text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True)
        sizes = [Image.open(io.BytesIO(image["bytes"])).size for image in row["images"]]
        patches = [processor.image_processor.get_number_of_image_patches(height, width) for width, height in sizes]
        # the text has one mark for each picture already
        marks = sum(int(count) // merged - 1 for count in patches)
        return int(marks + len(processor.tokenizer(text).input_ids))

    return length


def dataset(spec: RunSpec, processor: Any = None) -> Any:
    """The rows as a datasets.Dataset on disk, whose images are decoded when they are looked at."""
    import datasets
    from trl.trainer.utils import global_then_local_main_first

    datasets.disable_progress_bars()
    length = prompt_length(processor) if spec.train.max_prompt_tokens else None

    def made() -> Iterator[dict[str, Any]]:
        counts: Counter[str] = Counter()
        yield from rows(spec, length, counts)
        (spec.folder / "data.json").write_text(json.dumps(+counts))

    # processes share what the first of them writes, on one file system or on each machine's own
    with global_then_local_main_first():
        where = {"cache_dir": str(spec.folder / "data"), "fingerprint": _digest(spec)}
        try:
            found = datasets.Dataset.from_generator(made, features=_features(), **where)
        except ValueError:  # what datasets says of no rows at all
            if _counts(spec).get("used"):
                raise
            found = []
    _check(found, spec)
    return found


def _digest(spec: RunSpec) -> str:
    """What the rows follow from: a folder that was copied must not bring another run's along."""
    return sha256(json.dumps(spec.as_json() | {"folder": ""}, sort_keys=True).encode()).hexdigest()[:16]


def _features() -> Any:
    import datasets

    text = datasets.Value("string")
    return datasets.Features(
        {
            "prompt": [{"role": text, "content": [{"type": text, "text": text}]}],
            "images": [datasets.Image()],
            **dict.fromkeys(("problem", "answer", "answer_type"), text),
            **{name: [text] for name in ("choices", "annotation_ids", "annotation_texts")},
        }
    )


def _check(found: Any, spec: RunSpec) -> None:
    counts = _counts(spec)
    told = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    if len(found) < spec.train.prompts_per_step:
        kinds = f" of the types {', '.join(spec.answer_types)}" if spec.answer_types else ""
        raise TrainingFailed(
            f"{len(found)} annotated problems{kinds} are too few for a step of {spec.train.prompts_per_step} prompts "
            f"(problems: {told or 'none'}): annotate more problems or lower train.prompts_per_step"
        )
    print(f"problems: {told}", flush=True)


def _counts(spec: RunSpec) -> dict[str, int]:
    counts: dict[str, int] = json.loads((spec.folder / "data.json").read_text())
    return counts
