"""What a person is shown: funnel, cost beside the paper's, and a dozen examples with their pictures."""

import base64
import io
import re

from PIL import Image

from perception_r1.annotate.page import EXAMPLES, page
from perception_r1.annotate.usage import Usage, beside_the_paper
from perception_r1.records import Annotation, Problem


def problem(number: int) -> Problem:
    data = io.BytesIO()
    Image.new("RGB", (900, 300), (number, 0, 0)).save(data, "PNG")
    question = f"<image>Is {number} < 5 & is ]( a link?"
    return Problem(f"p{number:03}", (data.getvalue(),), question, "5", "integer", "s", f"g{number}", "train")


def fact(number: int, dropped: str = "") -> Annotation:
    return Annotation(
        f"p{number:03}#{dropped}", f"p{number:03}", f"AB is <b>{number}</b>.", "length", 2, 3, dropped, "o"
    )


TEACHER = Usage("teacher", "m", 200, 3, 60_000, 40_000, 2.0)


def test_twelve_examples_are_spread_over_the_problems_that_have_annotations() -> None:
    problems = [problem(number) for number in range(100)]
    facts = [fact(number) for number in range(100) if number % 2] + [fact(1, "deduction")]
    text = page([("problems", 100)], [TEACHER], iter(problems), 100, facts)
    shown = re.findall(r"^### (p\d+)$", text, re.MULTILINE)
    assert len(shown) == EXAMPLES == 12
    assert shown[0] == "p001"
    assert shown[-1] > "p080"
    pictures = [base64.b64decode(each) for each in re.findall(r"data:image/png;base64,([^)]+)\)", text)]
    assert {Image.open(io.BytesIO(each)).size for each in pictures} == {(256, 85)}
    assert len(pictures) == 12
    assert "data:image/svg+xml;base64," in text
    assert "~~AB is &lt;b&gt;1&lt;/b&gt;.~~ deduction" in text
    assert "<b>" not in text


def test_the_cost_is_shown_beside_the_papers() -> None:
    text = page([("problems", 100)], [TEACHER], [], 100, [])
    assert "| teacher | m | 200 | 3 | 60,000 | 40,000 | 2.00 |" in text
    assert "the paper's 2,101 problems take 2.10 M tokens (42.02 USD); the paper's own preparation took 1.1 M." in text


def test_what_asked_no_model_costs_nothing() -> None:
    assert beside_the_paper([], 100).startswith("No model was asked")


def test_what_a_data_set_says_loads_nothing_from_anywhere() -> None:
    evil = Problem(
        "![x](http://evil)", problem(1).images, "<image>![x](http://evil)\n# A", "5", "integer", "s", "g", "train"
    )
    facts = [Annotation("a", evil.id, "[AB](http://evil) is 5.", "length", 1, 1, "", "m")]
    assert not re.search(r"\]\(http", page([("problems", 1)], [], [evil], 1, facts))
