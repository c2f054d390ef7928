r"""VisFactor: 808 items of 20 human tests of basic vision, each asked in several rows; an item is right if all are.

    category_id   "CF1"          eval_index   0          the two name the item
    question      "<IMAGE_0><br>Is the shape <ADDITIONAL_0> hidden ...? Output: Respond with {"answer": ...}"
    additional    "first;second", put in for <ADDITIONAL_0>, <ADDITIONAL_1>; may be empty
    answer        "T"; "cat,kitten" (any of them); "(3, 4)"; "5"; "B"
    image         the pictures in the order of <IMAGE_0>, <IMAGE_1>, ...

The last {"answer": x} counts, else what our own rules find: a model that was trained to box its answer answers, too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from perception_r1.benchmarks.dataset import Dataset, Line, Part, drawn
from perception_r1.benchmarks.item import Item, nothing_known
from perception_r1.benchmarks.pictures import picture, placed
from perception_r1.errors import BadProblem
from perception_r1.evaluate.extraction import Extraction, extract_answer
from perception_r1.evaluate.grading import Grade, judged
from perception_r1.evaluate.layout import outline
from perception_r1.evaluate.metrics import Metric, accuracy, all_right, by, macro, share
from perception_r1.records import AnswerType, Problem
from perception_r1.sections import PINNED, Data

TRUTHS = ("CF1", "CF2", "MV1", "MV2", "MV3", "P3", "RL2", "S1", "S2", "SS2", "VZ1", "VZ2")
WORDS = ("CS1", "CS2", "CS3")
NUMBERS = ("I3", "MA1", "SS3")
SUBTESTS = (*TRUTHS, *WORDS, *NUMBERS, "CF3", "VZ3")
YES = {"t", "y", "1", "true", "yes"}
NO = {"f", "n", "0", "false", "no"}
WHOLE = re.compile(r"(?<![\w.,/-])\d+(?![\w/]|[.,]\d)")
SIGNED = re.compile(r"-?\d+")
ANOTHER = re.compile(  # what denies a number, weakens it or reckons on: the answer is not the number that stands there
    r"\b(?:not|no|never|cannot|minus|negative|plus|times|than|least|most|about|under|over|half)\b|n['’]t\b"
    r"|[−–+*/^!<>~≈±]|^\s*-\s",
    re.IGNORECASE,
)
BRACKETED = re.compile(r"\(?([A-Z])[).]?")
MENTION = re.compile(r"<IMAGE_(\d+)>")
EXTRA = re.compile(r"<ADDITIONAL_(\d+)>")
DATA = Dataset(
    name="visfactor",
    repo="lmms-lab-encoder/visfactor",
    revision="bab7178b7b86b24a0713d4ec48447209e749203c",
    parts=(Part("", "test", 3046),),
    columns={
        "category_id": "string",
        "eval_index": "int64",
        "question": "string",
        "additional": "string",
        "answer": "string",
        "image": "images",
    },
)

read = nothing_known


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The items in the order of the rows; the rows of an item stay together."""
    return drawn(DATA, _item, limit, seed, data)


def _item(line: Line) -> Item:
    subtest, extra = line.text("category_id"), line.text("additional")
    if subtest not in SUBTESTS:
        raise BadProblem(f"{line.where}: the subtest {subtest!r} is unknown; known: {', '.join(SUBTESTS)}")
    kind = _kind(subtest, extra)
    asked = _filled(line.text("question"), extra).replace("<br>", "\n")
    shown = {n: picture(value, f"{line.where}, image {n}") for n, value in enumerate(line.row["image"] or ())}
    question, images = placed(asked, shown, MENTION, line.where)
    golds = _golds(line.text("answer"), kind)
    item = f"{subtest}-{line.text('eval_index')}"
    problem = Problem(
        id=f"visfactor-{line.number:05}",
        images=images,
        question=question,
        answer=golds[0],
        answer_type=kind,
        source="VisFactor",
        group=item,
        split="heldout",
    )
    return Item(problem, subtest, also=golds[1:])


def _kind(subtest: str, extra: str) -> AnswerType:
    if subtest in TRUTHS or (subtest == "VZ3" and not extra.isdigit()):
        return "yes_no"
    if subtest in WORDS:
        return "text"
    return "letter" if subtest == "VZ3" else "math" if subtest == "CF3" else "integer"


def _filled(question: str, extra: str) -> str:
    """The question with its additional texts put in; a number that there is none for stays."""
    texts = extra.split(";") if extra else []
    return EXTRA.sub(lambda found: texts[int(found[1])] if int(found[1]) < len(texts) else found[0], question)


def _golds(answer: str, kind: AnswerType) -> tuple[str, ...]:
    if kind == "yes_no":
        return ("yes" if answer.casefold() in YES else "no",)
    return tuple(one.strip() for one in answer.split(",")) if kind == "text" else (answer,)


def grade(response: str, item: Item) -> tuple[Extraction, Grade]:
    """The answer in the last JSON object, else by our rules, compared as its subtest says."""
    said, kind = _said(response), item.problem.answer_type
    if said.value is None:
        return judged(said, item.problem.answer, kind)
    meant = replace(said, value=_meant(said.value, kind))
    grades = [judged(meant, gold, kind) for gold in (item.problem.answer, *item.also)]
    return next((found for found in grades if found[1].correct), grades[0])


def _said(response: str) -> Extraction:
    """What is answered, as text; objects may have other keys beside the answer."""
    parts = outline(response)
    if parts.unclosed == "think":
        return extract_answer(response)
    decoder, last = json.JSONDecoder(), None
    for start in re.finditer(r"\{", parts.visible):
        try:
            value, end = decoder.raw_decode(parts.visible, start.start())
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(value, dict) and "answer" in value:
            last = Extraction("answered", _text(value["answer"]), "json", (start.start(), end))
    if last and not last.value:
        return replace(last, status="abstained", value=None, rule="json: empty")
    return last or extract_answer(response)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return f"({', '.join(map(str, value))})"
    return str(value).strip()


def _meant(value: str, kind: AnswerType) -> str:
    """The answer in one spelling: a truth as yes or no, and the numbers of an answer that has just as many as asked."""
    plain = value.strip(" .").casefold()
    if kind == "yes_no":
        return "yes" if plain in YES else "no" if plain in NO else value
    if kind == "letter" and (alone := BRACKETED.fullmatch(value)):
        return alone[1]
    if ANOTHER.search(value):
        return value
    if kind == "integer":
        numbers = WHOLE.findall(value)
        return numbers[0] if len(numbers) == 1 else value
    if kind == "math":
        numbers = SIGNED.findall(value)
        return f"({numbers[0]}, {numbers[1]})" if len(numbers) == 2 else value
    return value


def metrics(rows: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Metric]:
    """The mean over the 20 subtests of the items whose rows are all right, each subtest's share, and that of rows."""
    subtests = []
    for name, of in by(rows, lambda row: [row["stratum"]]).items():
        subtests.append(share(name, all_right(of, lambda row: row["group"]).values()))
    if whole:  # a subtest that is not there earns nothing
        subtests += [Metric(name=name, value=0.0, n=0) for name in SUBTESTS if name not in {s.name for s in subtests}]
    items_right = share("items", all_right(rows, lambda row: row["group"]).values())
    return [macro("accuracy", subtests), items_right, accuracy("rows", rows), *subtests]
