"""Worked examples before a question: the same for a seed, in the answer's format, never the question itself."""

import base64
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from asking import Stub, rows, spec
from PIL import Image

from perception_r1.benchmarks import mathverse, mathvista, world
from perception_r1.benchmarks.fixtures import laid_out
from perception_r1.benchmarks.item import Item
from perception_r1.endpoints import Reply, Request
from perception_r1.errors import ConfigError
from perception_r1.evaluate.cache import Response
from perception_r1.evaluate.demonstrations import Example, bank, before, chosen, in_format, lines, marked
from perception_r1.evaluate.engines import Asked
from perception_r1.evaluate.fallback import Finder
from perception_r1.evaluate.predict import prediction
from perception_r1.evaluate.run import answer
from perception_r1.evaluate.scores import scored
from perception_r1.records import Prediction, Problem
from perception_r1.sections import Demonstrations


def example(number: int, answer: str, response: str = "") -> str:
    item = list(world.items(number + 1, 5))[number]
    told = {
        "id": f"support-{number}",
        "question": item.problem.question,
        "images": [base64.b64encode(image).decode() for image in item.problem.images],
        "answer": answer,
        "response": response or f"<think>I look.</think>\n<answer>\\boxed{{{answer}}}</answer>",
    }
    return json.dumps(told)


def a_bank(tmp_path: Path, **rest: object) -> Demonstrations:
    items = list(world.items(9, 5))
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join(example(n, item.problem.answer) for n, item in enumerate(items)))
    return Demonstrations(shots=2, bank=str(path), **rest)  # type: ignore[arg-type]


def test_without_shots_the_prompt_is_what_it_was() -> None:
    (item,) = world.items(1, 0)
    assert before(Demonstrations(), bank(Demonstrations()), item.problem, "layout") == ((), ())


def test_examples_follow_from_the_seed_and_are_in_the_format_of_the_answer(tmp_path: Path) -> None:
    settings = a_bank(tmp_path)
    examples = bank(settings)
    (item,) = world.items(1, 0)
    told, pictures = before(settings, examples, item.problem, "none")
    assert [message["role"] for message in told] == ["user", "assistant"] * 2
    assert len(pictures) == 2
    assert all(in_format(message["content"]) for message in told[1::2])
    assert before(settings, examples, item.problem, "none") == (told, pictures)
    bare, _ = before(replace(settings, content="answer"), examples, item.problem, "none")
    assert not any(in_format(message["content"]) for message in bare[1::2])
    assert all(message["content"].startswith("<answer>") for message in bare[1::2])


def test_an_answer_alone_is_set_as_the_model_sets_its_own() -> None:
    def shown(response: str) -> str:
        return Example("1", "How long?", (), "5", response).said("answer")

    assert shown("<think>I look.</think><answer>\\boxed{5}</answer>") == "<answer>\\boxed{5}</answer>"
    assert shown("It is 5, so \\boxed{5}.") == "\\boxed{5}"


def test_an_example_is_right_as_its_benchmark_graded_it() -> None:
    near = Example("1", "How long?", (), "1.25", "\\boxed{1.2}")
    assert not near.right and replace(near, correct=True).right


def test_a_bank_is_written_of_what_was_answered_and_is_read_again(tmp_path: Path) -> None:
    items = list(world.items(4, 5))
    told = ["<answer>\\boxed{" + items[0].problem.answer + "}</answer>", "<answer>\\boxed{no}</answer>", "", "…"]
    said = [asdict(predicted(item, response)) for item, response in zip(items, told, strict=True)]
    written = list(lines([*said, {**said[0], "condition": "none"}], items))
    assert [line["id"] for line in written] == [item.problem.id for item in items[:2]]
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join(map(json.dumps, written)))
    first, wrong = bank(Demonstrations(shots=1, bank=str(path), only_right=False))
    assert (first.images, first.question, first.right) == (items[0].problem.images, items[0].problem.question, True)
    assert not wrong.right
    with pytest.raises(
        ConfigError, match="1 items that the model was asked are not in the data, such as heldout-000000"
    ):
        list(lines(said[:1], items[1:]))
    with pytest.raises(ConfigError, match="is another one than the model was asked: 'x' was its answer"):
        list(lines([{**said[0], "gold": "x"}], items))


def test_the_most_alike_stands_next_to_the_question_and_never_is_the_question(tmp_path: Path) -> None:
    settings = replace(a_bank(tmp_path), retriever="alike")
    examples = bank(settings)
    twin = replace(examples[4], id="twin", images=(_resaved(examples[4].images[0]),))
    asked = Problem("q", examples[4].images, examples[4].question, "1", "integer", "world", "g", "heldout")
    _, pictures = before(settings, [*examples, twin], asked, "none")
    assert pictures[-1] == twin.images[0]
    assert examples[4].images[0] not in pictures


def test_another_version_of_the_question_is_never_shown_before_it(tmp_path: Path) -> None:
    items = list(mathverse.items(0, 0, laid_out(mathverse.DATA, tmp_path)))
    one = items[0].problem
    twins = {item.problem.id for item in items if item.problem.group == one.group}
    assert 1 < len(twins) < len(items)
    said = [asdict(predicted(item, f"\\boxed{{{item.problem.answer}}}", mathverse)) for item in items]
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join(map(json.dumps, lines(said, items))))
    others = len(items) - len(twins)
    settings = Demonstrations(shots=others, bank=str(path), retriever="alike")
    shown = {example.id for example in chosen(settings, bank(settings), one)}
    assert len(shown) == others and not shown & twins
    with pytest.raises(ConfigError, match=f"{others + 1} shots, and {others} of {len(items)} examples are of another"):
        chosen(replace(settings, shots=others + 1), bank(settings), one)


def _resaved(picture: bytes) -> bytes:
    data = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(data, "JPEG", quality=90)
    return data.getvalue()


def test_a_wrong_example_is_not_shown_and_too_few_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join([example(0, "yes"), example(1, "B", "\\boxed{A}"), example(2, "3")]))
    settings = Demonstrations(shots=2, bank=str(path))
    with pytest.raises(ConfigError, match="2 shots need more than 2 examples"):
        bank(settings)
    assert len(bank(replace(settings, only_right=False))) == 3
    with pytest.raises(ConfigError, match="holds no examples"):
        bank(Demonstrations(shots=1, bank=str(tmp_path / "nowhere.jsonl")))


@pytest.mark.parametrize("response", ["", None])
def test_an_example_without_a_response_has_no_rationale_to_show(tmp_path: Path, response: str | None) -> None:
    path = tmp_path / "bank.jsonl"
    silent = [{**json.loads(example(n, "5")), "response": response, "correct": True} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, silent)))
    settings = Demonstrations(shots=1, bank=str(path))
    with pytest.raises(ConfigError, match="1 shots need more than 0 examples"):
        bank(settings)
    assert bank(replace(settings, content="answer"))[0].said("answer") == "<answer>\\boxed{5}</answer>"


@pytest.mark.parametrize(
    ("value", "correct", "label"),
    [
        pytest.param("5", False, ("copied=yes",), id="an-examples-answer"),
        pytest.param("6", False, ("copied=no",), id="its-own"),
        pytest.param("5", True, ("copied=no",), id="right-as-its-benchmark-grades"),
        pytest.param(None, False, ("copied=no",), id="none"),
        pytest.param("5", None, (), id="not-graded"),
    ],
)
def test_an_answer_that_an_example_gave_is_copied_unless_it_is_right(
    value: str | None, correct: bool | None, label: tuple[str, ...]
) -> None:
    examples = [Example("1", "How long?", (), "5", "\\boxed{5}")]
    made = replace(predicted(next(world.items(1, 0)), ""), value=value, correct=correct)
    assert marked(made, examples).labels == (*made.labels, *label)
    assert marked(made, []) == made


def predicted(item: Item, response: str, module: Any = world) -> Prediction:
    return prediction(
        model="base",
        seed=0,
        benchmark="any",
        module=module,
        item=item,
        condition="full",
        response=response,
        tokens=1,
        truncated=response == "…",
    )


def test_a_bank_gives_the_letter_of_a_choice_that_a_model_answers_with(tmp_path: Path) -> None:
    items = list(mathvista.items(0, 0, laid_out(mathvista.DATA, tmp_path)))
    chosen_from = [item for item in items if item.options]
    said = [asdict(predicted(item, "\\boxed{A}", mathvista)) for item in chosen_from]
    told = {line["answer"] for line in lines(said, chosen_from)}
    assert told and told <= set("ABCDEFGH")


def test_what_a_model_found_in_a_response_is_copied_like_any_answer(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join(example(n, "70") for n in range(3)))
    settings = Demonstrations(shots=2, bank=str(path))

    class Finds:
        def ask(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
            yield from ((n, Reply("ANSWER: 70", 1, 1, 0.0)) for n, _ in enumerate(requests))

    silent = Stub(lambda asked: Response("I would say 70, perhaps", 9, False))
    answer(spec(tmp_path, demonstrations=settings), world, silent, Finder(Finds()))  # type: ignore[arg-type]
    scores, _ = scored(rows(tmp_path), world, whole=False)
    assert [score.value for score in scores if score.metric == "copy rate"] == [1.0]


def test_a_model_that_repeats_its_last_example_has_a_copy_rate_of_one(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join([example(0, "70"), example(1, "80"), example(2, "90")]))
    settings = Demonstrations(shots=2, bank=str(path))

    def repeats(asked: Asked) -> Response:
        return Response(str(asked.before[-1]["content"]), 9, False)

    answer(spec(tmp_path, demonstrations=settings), world, Stub(repeats))
    scores, _ = scored(rows(tmp_path), world, whole=False)
    (rate,) = [score for score in scores if score.metric == "copy rate"]
    assert (rate.value, rate.n) == (1.0, 24)
