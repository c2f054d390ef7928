"""The embedded teacher and extractor: one reads pixels and errs now and then, the other reads any of its wordings."""

import json
import random
import re

import pytest

from perception_r1.endpoints import Reply, Request, image_part, open_endpoint, text_part
from perception_r1.errors import Refused, Truncated
from perception_r1.evaluate.conditions import blank
from perception_r1.sections import Endpoint
from perception_r1.world import extractor, teacher
from perception_r1.world.charts import Chart, Task, tasks
from perception_r1.world.embedded import answered, prompt_tokens

TASKS = list(tasks("train", 300, seed=2))
LAYOUT = re.compile(r"<think>.+</think>\n<answer>\\boxed\{(.+)\}</answer>", re.DOTALL)


def shown(task: Task, **said: float) -> Request:
    content = [image_part(task.chart.png()), text_part(task.text)]
    return Request(messages=({"role": "user", "content": content},), **said)  # type: ignore[arg-type]


def extracted(response: str) -> list[dict[str, str]]:
    request = Request(messages=({"role": "user", "content": f"<response>\n{response}\n</response>"},))
    found: list[dict[str, str]] = json.loads(extractor.reply(request))["annotations"]
    return found


def heights(response: str) -> set[str]:
    return {fact["text"] for fact in extracted(response) if fact["type"] == "length"}


def test_at_temperature_zero_the_teacher_is_always_right_and_keeps_the_layout() -> None:
    for task in TASKS:
        kept = LAYOUT.fullmatch(teacher.reply(shown(task)))
        assert kept and kept[1] == task.answer


def test_the_extractor_reads_every_wording_of_the_teacher() -> None:
    for task in TASKS:
        assert heights(teacher.reply(shown(task))) == set(task.facts)


@pytest.mark.parametrize("wording", teacher.HEIGHTS)
def test_each_wording_of_a_height_is_one_fact(wording: str) -> None:
    said = [wording.format(bar=bar, n=n, word=word) for bar in "ABC" for n, word in ((1, "one"), (9, "nine"))]
    assert [heights(f"Okay. {one} Next.") for one in said] == [{f"Bar {bar} is {n}."} for bar in "ABC" for n in (1, 9)]


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        pytest.param("So A is taller than C.", [("Bar A is taller than bar C.", "relation")], id="taller"),
        pytest.param("So A is 3 units taller than C.", [], id="taller-by-is-no-height"),
        pytest.param("The tallest bar is therefore B.", [("Bar B is the tallest.", "relation")], id="tallest"),
        pytest.param("The difference is 7 - 4 = 3.", [("The difference is 7 - 4 = 3.", "other")], id="difference"),
        pytest.param("Bar A is 7. Indeed A is 7.", [("Bar A is 7.", "length")], id="said-twice"),
        pytest.param("A is 7. No, A is 6.", [("Bar A is 7.", "length"), ("Bar A is 6.", "length")], id="both"),
        pytest.param("There are three bars in this picture.", [], id="filler"),
        pytest.param("I cannot see it.", [], id="nothing"),
        pytest.param("Bar A is 7.</think><answer>Bar B is 3.</answer>", [("Bar A is 7.", "length")], id="answer"),
    ],
)
def test_what_the_extractor_lists(said: str, facts: list[tuple[str, str]]) -> None:
    assert [(fact["text"], fact["type"]) for fact in extracted(said)] == facts


def test_the_teachers_words_vary() -> None:
    said = [teacher.reply(shown(task)) for task in TASKS]
    shapes = [re.sub(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine)\b|\b[ABC]\b", "_", one) for one in said]
    assert len(set(shapes)) > 250
    firsts = [one.index(f"{task.bars[0]}") < one.index(task.bars[1]) for one, task in zip(said, TASKS, strict=True)]
    assert 0.3 < sum(firsts) / len(firsts) < 0.7


def test_above_temperature_zero_one_height_in_eight_is_misread_by_one_or_two() -> None:
    readings = []
    for number, task in enumerate(TASKS * 3):
        request = shown(task, temperature=1.0, seed=number)
        reading = teacher.read(request, random.Random(number))
        readings += [(task.chart.height(bar), n) for bar, n in zip(reading.bars, reading.heights, strict=True)]
    off = [abs(true - read) for true, read in readings if true != read]
    assert set(off) == {1, 2}
    assert 0.10 < len(off) / len(readings) < 0.14  # 2,100 readings: 2.8 standard errors around .12


def test_some_answers_are_wrong_and_some_right_ones_rest_on_a_wrong_reading() -> None:
    wrong, lucky = 0, 0
    for number, task in enumerate(TASKS):
        said = teacher.reply(shown(task, temperature=1.0, seed=number))
        kept = LAYOUT.fullmatch(said)
        assert kept
        wrong += kept[1] != task.answer
        lucky += kept[1] == task.answer and heights(said) != set(task.facts)
    assert 0.08 < wrong / len(TASKS) < 0.25
    assert 0.05 < lucky / len(TASKS) < 0.3


def test_the_teacher_says_the_same_to_the_same_request() -> None:
    task = TASKS[0]
    warm = [teacher.reply(shown(task, temperature=1.0, seed=seed)) for seed in range(9)]
    assert warm == [teacher.reply(shown(task, temperature=1.0, seed=seed)) for seed in range(9)]
    assert len(set(warm)) > 5
    assert teacher.reply(shown(task, seed=1)) == teacher.reply(shown(task, seed=2)), "no temperature, no chance"


def test_the_teacher_reads_the_picture_and_nothing_else() -> None:
    one, other = (Task(Chart(h, ("blue",) * 3, (10,) * 3), "diff", ("A", "B")) for h in ((9, 2, 5), (6, 2, 5)))
    assert [re.search(r"boxed\{(\d)", teacher.reply(shown(task)))[1] for task in (one, other)] == ["7", "4"]  # type: ignore[index]


def test_the_last_question_is_the_one_that_is_answered() -> None:
    task = Task(Chart((9, 2, 5), ("blue",) * 3, (10,) * 3), "max", ("A", "B", "C"))
    messages = ({"role": "system", "content": "Example: Is bar A taller than bar B?"}, *shown(task).messages)
    assert "boxed{A}" in teacher.reply(Request(messages=messages))


JUNK = image_part(b"no picture")
SMALL = image_part(bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
))  # fmt: skip
GREY = image_part(blank(TASKS[0].chart.png()))
QUESTION = text_part("Which bar is the tallest?")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param([QUESTION], "no picture", id="no-picture"),
        pytest.param([JUNK, QUESTION], "cannot be opened", id="no-image"),
        pytest.param([SMALL, QUESTION], "no chart", id="another-image"),
        pytest.param([GREY, QUESTION], "a bar of 10 units", id="grey"),
        pytest.param([{"type": "image_url", "image_url": {"url": "http://x"}}, QUESTION], "be opened", id="address"),
        pytest.param([JUNK, text_part("How long is AB?")], "questions of the embedded world", id="another-question"),
    ],
)
def test_the_teacher_refuses_what_it_cannot_see(content: list[dict[str, object]], told: str) -> None:
    with pytest.raises(Refused, match=told):
        teacher.reply(Request(messages=({"role": "user", "content": content},)))


def test_an_embedded_endpoint_answers_in_order_and_returns_failures() -> None:
    endpoint = open_endpoint(Endpoint(model="embedded/teacher"))
    asked = [shown(TASKS[0]), Request(messages=({"role": "user", "content": "hello"},)), shown(TASKS[1])]
    replies = list(endpoint.ask(asked))
    endpoint.close()
    assert [(number, type(reply)) for number, reply in replies] == [(0, Reply), (1, Refused), (2, Reply)]


def test_an_embedded_reply_over_the_token_limit_is_truncated() -> None:
    request = Request(messages=({"role": "user", "content": "one two, three"},), max_tokens=3)
    assert isinstance(answered(lambda _: "four, five", request), Reply)
    assert isinstance(answered(lambda _: "four, five!", request), Truncated)
    assert prompt_tokens(request) == 4
