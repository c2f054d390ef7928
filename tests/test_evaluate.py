"""The same items with and without their pictures, asked of anything that answers, kept, resumed, never asked twice."""

import importlib.util
import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from asking import OnlyMax, Stub, ignores_pixels, rows, spec
from PIL import Image

from perception_r1.benchmarks import world
from perception_r1.benchmarks.item import Item
from perception_r1.endpoints import open_endpoint
from perception_r1.errors import BadProblem, ConfigError, EvaluationFailed, Unreachable
from perception_r1.evaluate.__main__ import evaluate
from perception_r1.evaluate.cache import Cache, Response, key_of
from perception_r1.evaluate.conditions import donors, shown, windows
from perception_r1.evaluate.engines import Asked, Sampling, Served
from perception_r1.evaluate.offline import answers
from perception_r1.evaluate.run import answer
from perception_r1.prompt import MARK
from perception_r1.sections import Endpoint
from perception_r1.world.server import Fault, serving

CONDITIONS = ("full", "none", "blank", "shuffled", "caption")


def tallest_column(picture: bytes) -> str:
    """What the pixels say: no model, but it must look."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    tops = []
    for column in range(3):
        colours = [image.getpixel((column * 28 + 14, y)) for y in range(84)]
        tops.append(
            next((y for y, colour in enumerate(colours) if colour not in ((255, 255, 255), (128, 128, 128))), 84)
        )
    return "ABC"[tops.index(min(tops))]


def reads_pixels(asked: Asked) -> Response:
    problem = asked.problem
    return Response(f"\\boxed{{{tallest_column(problem.images[0]) if problem.images else 'A'}}}", 3, False)


def accuracy(found: Iterable[dict[str, object]], condition: str) -> float:
    graded = [row["correct"] for row in found if row["condition"] == condition]
    return sum(map(bool, graded)) / len(graded)


def test_a_model_that_ignores_the_picture_gains_nothing_by_it_and_one_that_reads_it_gains_all(tmp_path: Path) -> None:
    for name, said, gain in (("blind", ignores_pixels, 0.0), ("seeing", reads_pixels, 1.0)):
        answer(spec(tmp_path / name, conditions=CONDITIONS), OnlyMax, Stub(said))  # type: ignore[arg-type]
        found = rows(tmp_path / name)
        assert len(found) == 5 * 24
        assert accuracy(found, "full") - accuracy(found, "none") == gain
        assert accuracy(found, "full") - accuracy(found, "blank") == gain


def test_conditions_pair_by_item_and_differ_in_nothing_but_the_picture(tmp_path: Path) -> None:
    answer(spec(tmp_path, conditions=CONDITIONS), world, Stub(ignores_pixels))
    found = rows(tmp_path)
    of = {condition: [row for row in found if row["condition"] == condition] for condition in CONDITIONS}
    same = ("item", "group", "stratum", "gold", "facts")
    assert all(
        [[row[key] for key in same] for row in of[c]] == [[row[key] for key in same] for row in of["full"]] for c in of
    )


def test_full_is_the_very_problem_and_the_others_keep_its_words() -> None:
    for item in world.items(6, 0):
        problem = item.problem
        assert shown(item, "full") is problem
        none = shown(item, "none")
        assert (none.images, none.question) == ((), problem.question.replace(MARK, ""))
        assert none.answer == problem.answer and none.id == problem.id
        assert shown(item, "caption").question == f"The picture in words: {item.caption}\n{none.question}"
        grey = Image.open(io.BytesIO(shown(item, "blank").images[0]))
        assert grey.size == (84, 84) and grey.getextrema() == ((128, 128), (128, 128), (128, 128))


def test_no_item_is_shown_its_own_group_and_each_picture_is_used_once() -> None:
    items = list(world.items(40, 3))
    grouped = [replace(item, problem=replace(item.problem, group=f"g{n // 5}")) for n, item in enumerate(items)]
    random.Random(0).shuffle(grouped)
    given = donors(grouped)
    assert all(given[item.problem.id].problem.group != item.problem.group for item in grouped)
    assert sorted(donor.problem.id for donor in given.values()) == sorted(item.problem.id for item in grouped)
    assert donors(grouped) == given


def test_a_group_that_is_most_of_all_cannot_be_shuffled() -> None:
    items = [replace(item, problem=replace(item.problem, group="one")) for item in world.items(3, 0)]
    with pytest.raises(BadProblem, match="3 of 3 items are of one group"):
        donors(items)


def test_an_item_without_a_caption_says_where_one_goes(tmp_path: Path) -> None:
    (item,) = world.items(1, 0)
    with pytest.raises(ConfigError, match=r"item heldout-000000-cmp has no caption; .*captions"):
        shown(replace(item, caption=""), "caption")


def test_windows_are_whole_and_a_short_end_goes_with_the_one_before() -> None:
    items = list(world.items(23, 0))
    assert [len(window) for window in windows(items, 10)] == [10, 13]
    assert [len(window) for window in windows(items[:16], 10)] == [10, 6]
    assert [item for window in windows(items, 10) for item in window] == items


def test_a_killed_evaluation_asks_only_what_is_not_there(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    answer(spec(whole, conditions=("full", "none")), world, Stub(ignores_pixels))
    answer(spec(part, conditions=("full",)), world, Stub(ignores_pixels))
    second = Stub(ignores_pixels)
    answer(spec(part, conditions=("full", "none")), world, second)
    assert second.asked == 24
    assert rows(whole) == rows(part)


def test_questions_without_a_response_fail_the_evaluation_and_the_rest_is_kept(tmp_path: Path) -> None:
    def shaky(asked: Asked) -> Response:
        gone = asked.problem.id.startswith("heldout-000003") and asked.shard.startswith("none")
        return Response("", 0, False, "timed out: after 2 s") if gone else ignores_pixels(asked)

    with pytest.raises(EvaluationFailed, match="1 questions of world got no response"):
        answer(spec(tmp_path, conditions=("full", "none")), world, Stub(shaky))
    assert {row["condition"] for row in rows(tmp_path)} == {"full"}


def test_an_evaluation_of_nothing_is_refused(tmp_path: Path) -> None:
    class Empty(OnlyMax):
        @staticmethod
        def items(limit: int, seed: int, data: object = None) -> Iterator[Item]:
            return iter(())

    with pytest.raises(EvaluationFailed, match="no item of world was drawn"):
        answer(spec(tmp_path), Empty, Stub(ignores_pixels))  # type: ignore[arg-type]


def test_what_is_refused_for_good_is_unknown_and_never_wrong(tmp_path: Path) -> None:
    answer(spec(tmp_path), world, Stub(lambda asked: Response("", 0, False, "refused: no", True)))
    assert {(row["status"], row["correct"], row["perceived"]) for row in rows(tmp_path)} == {
        ("judge_failed", None, None)
    }


# The cache


def test_a_response_is_known_by_model_prompt_pictures_and_settings() -> None:
    base = ({"model": "a", "temperature": 0.0}, "prompt", (b"1", b"2"))
    others = [
        ({"model": "b", "temperature": 0.0}, "prompt", (b"1", b"2")),
        ({"model": "a", "temperature": 1.0}, "prompt", (b"1", b"2")),
        ({"model": "a", "temperature": 0.0}, "prompt.", (b"1", b"2")),
        ({"model": "a", "temperature": 0.0}, "prompt", (b"2", b"1")),
        ({"model": "a", "temperature": 0.0}, "prompt", (b"12",)),
    ]
    assert len({key_of(*key) for key in (base, *others)}) == 6
    assert key_of(*base) == key_of({"temperature": 0.0, "model": "a"}, "prompt", (b"1", b"2"))


def test_the_cache_keeps_responses_and_no_failures(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c" / "responses.sqlite")
    cache.put({b"a": Response("x", 3, True), b"b": Response("", 0, False, "timed out")})
    cache.close()
    again = Cache(tmp_path / "c" / "responses.sqlite")
    assert again.get([b"a", b"b"]) == {b"a": Response("x", 3, True)}
    again.close()
    assert Cache(None).get([b"a"]) == {}


# Over the wire


def served(url: str, cache: Cache, **rest: object) -> Served:
    endpoint = open_endpoint(Endpoint(model="embedded/teacher", base_url=url, concurrency=8, **rest))  # type: ignore[arg-type]
    return Served(endpoint, "teacher", Sampling(256), "none", cache)


def test_a_served_model_is_evaluated_and_not_asked_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "responses.sqlite")
    with serving() as server:
        for turn in ("first", "again"):
            engine = served(server.url, cache)
            answer(spec(tmp_path / turn, conditions=("full", "shuffled"), max_tokens=256), world, engine)
            engine.close()
        asked = server.requests
    assert asked == 48
    assert rows(tmp_path / "first") == rows(tmp_path / "again")
    assert accuracy(rows(tmp_path / "first"), "full") > 0.5


def test_what_is_left_of_a_killed_evaluation_may_be_all_refused(tmp_path: Path) -> None:
    sees_only = spec(tmp_path, endpoint=Endpoint(model="embedded/teacher"), conditions=("full", "none"), max_tokens=256)
    evaluate(sees_only)  # refuses to answer without a picture
    (unseen,) = sees_only.predictions.glob("none-*.parquet")
    before = rows(tmp_path)
    unseen.unlink()
    evaluate(sees_only)
    assert rows(tmp_path) == before
    assert {row["status"] for row in before if row["condition"] == "none"} == {"judge_failed"}


def test_what_vllm_refuses_is_a_failure_of_that_question_alone() -> None:
    def chat(told: list[str], params: list[int]) -> list[object]:
        if "too long" in told:
            raise ValueError("the prompt is longer than the model")
        return [
            SimpleNamespace(outputs=[SimpleNamespace(text=one, token_ids=[1], finish_reason="stop")]) for one in told
        ]

    first, long, last = answers(chat, ["a", "too long", "b"], [0, 0, 0])
    assert (first, last) == (Response("a", 1, False), Response("b", 1, False))
    assert long.error.startswith("refused: the prompt is longer") and long.for_good


@pytest.mark.skipif(bool(importlib.util.find_spec("vllm")), reason="vLLM is here")
def test_without_vllm_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs vLLM here .* pip install 'perception-r1\[gpu\]'"):
        evaluate(spec(tmp_path, weights=tmp_path, generator="vllm"))


def test_an_endpoint_that_dies_leaves_what_it_answered(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "responses.sqlite")
    dead = [None] * 30 + [Fault(hang_up=True)] * 1000
    with serving(faults=dead) as server:
        engine = served(server.url, cache, retries=0, patience_s=2.0)
        with pytest.raises((EvaluationFailed, Unreachable), match="embedded/teacher at"):
            answer(spec(tmp_path / "run", conditions=("full", "shuffled"), max_tokens=256), world, engine)
        engine.close()
    with serving() as server:
        engine = served(server.url, cache)
        answer(spec(tmp_path / "run", conditions=("full", "shuffled"), max_tokens=256), world, engine)
        engine.close()
        assert server.requests <= 24
    assert len(rows(tmp_path / "run")) == 48
