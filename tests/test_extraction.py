r"""What a response answers: read by rules, never at random, never from inside a thought."""

import pytest

from perception_r1.evaluate import Extraction, extract_answer
from perception_r1.evaluate.layout import boxes, outline

NUMBERS = {"A": "24", "B": "30", "C": "45", "D": "60"}
SHAPES = {"A": "equilateral triangle", "B": "triangle", "C": "square", "D": "circle"}

# What known harnesses answer by a coin toss, by the nearest choice, or with the article "A".
LETTERS = {
    "boxed": (r"\boxed{B}", "B", "boxed"),
    "boxed-in-block": (r"<think>A.</think><answer>\boxed{B}</answer>", "B", "boxed in the answer block"),
    "boxed-text": (r"\boxed{\text{B}}", "B", "boxed"),
    "boxed-mathrm-bracketed": (r"\boxed{\mathrm{(B)}}", "B", "boxed"),
    "boxed-letter-and-text": (r"$\boxed{\textbf{(B) } 30}$", "B", "boxed"),
    "boxed-value-of-a-choice": (r"\boxed{30}", "B", "boxed"),
    "boxed-equal-value": (r"\boxed{\frac{60}{2}}", "B", "boxed"),
    "boxed-twice": (r"\boxed{\boxed{B}}", "B", "boxed"),
    "block": ("<answer>B</answer>", "B", "lone letter"),
    "block-letter-and-text": ("<answer>\nB. 30\n</answer>", "B", "option text"),
    "block-with-marker": ("<answer>The answer is B</answer>", "B", "marker"),
    "bold": ("**B**", "B", "lone letter"),
    "half-bracket": ("B)", "B", "lone letter"),
    "brackets": ("(B)", "B", "lone letter"),
    "full-stop": ("B.", "B", "lone letter"),
    "alone": ("B", "B", "lone letter"),
    "dollar": ("$B", "B", "lone letter"),
    "formula": ("$B$", "B", "lone letter"),
    "text": (r"\text{B}", "B", "lone letter"),
    "line": ("We compare.\n\nB\n", "B", "lone letter"),
    "answer-is": ("The answer is B", "B", "marker"),
    "answer-is-bold": ("The answer is **B**.", "B", "marker"),
    "answer-is-option": ("The correct answer is option (B), since 30 > 24.", "B", "marker"),
    "answer-is-a-because": ("The answer is A because both sides match.", "A", "marker"),
    "answer-since-another-is-wrong": ("The correct option is B because A is wrong.", "B", "marker"),
    "answer-must-be": ("Based on the figure, the answer must be B.", "B", "marker"),
    "answer-colon": ("Answer: B", "B", "marker"),
    "answer-dollar": ("ANSWER: $B", "B", "marker"),
    "answer-bold-colon": ("**Answer:** (B) 30", "B", "marker"),
    "answer-next-line": ("Final answer:\n\nB", "B", "marker"),
    "last-marker": ("The answer is A. Wait: the answer is B.", "B", "marker"),
    "answer-in-chinese": ("答案是B。", "B", "marker"),
    "not-the-article": ("A careful look at the figure shows (C)", "C", "marked letter"),
    "answer-behind-a-denial": ("Since x is not 24, the answer is B.", "B", "marker"),
    "answer-before-a-supposition": ("The answer is B. If the answer is C, x is 9.", "B", "marker"),
    "i-would-say": ("I would say the answer is B.", "B", "marker"),
    "chinese-choice": ("故选：B。", "B", "marker"),
    "wide-letter": ("答案：Ｂ", "B", "marker"),
    "wide-letter-alone": ("Ｂ", "B", "lone letter"),
    "thought-by-another-name": ("<thinking>The answer is A.</thinking>The answer is B.", "B", "marker"),
    "kimi's-thought": (r"◁think▷\boxed{A}◁/think▷\boxed{B}", "B", "boxed"),
    "value-in-a-sentence": ("It is 45.", "C", "option text"),
}
NO_LETTER = {
    "article": ("It is a triangle", "no answer"),
    "article-in-front": ("A triangle", "no answer"),
    "article-behind-marker": ("The answer is A triangle.", "no answer"),
    "two-behind-marker": ("The answer is A or B", "no answer"),
    "two": ("A or B", "no answer"),
    "options-listed": ("A\nB\nC\nD", "lone letters differ"),
    "denied": ("Option (A) is wrong.", "no answer"),
    "marker-denied": ("The answer is not B.", "marker: denied"),
    "marker-asked": ("The answer is B? No, it cannot be.", "marker: asked, not told"),
    "marker-taken-back": ("Answer: B is wrong.", "no answer"),
    "marker-is-not": ("Answer: B isn't right, I think.", "no answer"),
    "marker-may-be": ("The answer may be B.", "no answer"),
    "marker-must-not-be": ("The answer must not be B.", "no answer"),
    "marker-disbelieved": ("I don't think the answer is B.", "marker: supposed"),
    "marker-unlikely": ("It is unlikely that the correct answer is B.", "marker: supposed"),
    "marker-supposed": ("If the answer is A, then x = 24. So it is C.", "marker: supposed"),
    "marker-of-others": ("One may think the answer is B.", "marker: supposed"),
    "marker-retracted": ("The answer is B. No wait, that's wrong. It should be C.", "marker: taken back"),
    "marker-doubted": ("The answer is B or maybe C.", "marker: taken back"),
    "marker-or-a-text": ("The answer is B or 45", "no answer"),
    "box-denied": (r"It is not \boxed{B}", "boxed: taken back"),
    "box-is-wrong": (r"$\boxed{B}$ is wrong", "boxed: taken back"),
    "box-asked": (r"\boxed{B}? No.", "boxed: taken back"),
    "box-retracted": (r"\boxed{B}. Wait, let me recheck: the bar is 45.", "boxed: taken back"),
    "two-boxes-in-a-box": (r"\boxed{\boxed{A}\boxed{B}}", "boxes differ"),
    "text-of-one-and-letter-of-another": ("The answer is 30, which is option C.", "no answer"),
    "two-options-in-a-box": (r"\boxed{(B) 30 \text{ or } (C) 45}", "boxed: no choice"),
    "hedged-option-text": ("Maybe it is 45.", "no answer"),
    "option-text-asked": ("Is it 45?", "no answer"),
    "option-text-compared": ("45 is too small.", "no answer"),
    "option-text-before-the-end": ("There are 24 hours. So it takes two days.", "no answer"),
    "two-option-texts": ("24 and 30 are both possible", "no answer"),
    "option-text-denied": ("It is not 45.", "no answer"),
    "letter-of-no-choice": (r"\boxed{E}", "boxed: no choice"),
    "lower-case": (r"\boxed{b}", "boxed: no choice"),
    "two-in-one-box": (r"\boxed{A, B}", "boxed: no choice"),
    "letter-of-one-text-of-another": (r"\boxed{B. 45}", "boxed: no choice"),
    "two-boxes": (r"\boxed{A} or \boxed{B}", "boxes differ"),
    "empty": ("", "no answer"),
}
ANSWERS = {
    "boxed": (r"\boxed{24}", "24", "boxed"),
    "nested-braces": (r"So \boxed{\frac{\sqrt{3}}{2}}.", r"\frac{\sqrt{3}}{2}", "boxed"),
    "escaped-braces": (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
    "same-box-twice": (r"\boxed{5} that is \boxed{ 5.0 }", "5.0", "boxed"),
    "block-beats-marker": ("The answer is 3. <answer>4</answer>", "4", "bare"),
    "marker-with-a-reason": ("The answer is 5 because 2 + 3 = 5.", "5", "marker"),
    "last-block": ("<answer>3</answer> <answer>4</answer>", "4", "bare"),
    "block-inside-thought": (r"<think><answer>\boxed{9}</answer></think><answer>\boxed{4}</answer>", "4", None),
    "box-inside-thought": (r"<think>\boxed{9}</think>\boxed{4}", "4", "boxed"),
    "thought-opened-by-the-template": (r"first \boxed{9}</think>\boxed{4}", "4", "boxed"),
    "tags-in-capitals": (r"<THINK>\boxed{9}</THINK><Answer>4</Answer>", "4", "bare"),
    "two-in-a-block": ("<answer>24 or 7</answer>", "24 or 7", "answer block"),
    "marker": ("The answer is 3.5 cm. I checked.", "3.5 cm", "marker"),
    "marker-formula": ("Final answer: $x=5$.", "x=5", "marker"),
    "marker-next-line": ("**Answer:**\n\n24", "24", "marker"),
    "alone": ("24", "24", "bare"),
    "yes": ("Yes.", "Yes", "bare"),
    "yes-and-why": ("Yes, bar A is taller.", "Yes", "bare"),
}
NO_ANSWER = {
    "guess": ("I guess 24", "abstained"),
    "not": ("the answer is not 24", "abstained"),
    "isnt": ("the answer isn't 24", "abstained"),
    "last-number": ("... and so on until Step 24", "abstained"),
    "only-in-the-thought": ("<think>The answer is 24.</think>", "abstained"),
    "a-word": ("Hm.", "abstained"),
    "empty-box": (r"\boxed{ }", "abstained"),
    "empty-block": ("<answer></answer>", "abstained"),
    "two-boxes": (r"\boxed{24} or \boxed{7}", "abstained"),
    "two-blocks-with-boxes": (r"<answer>\boxed{24}</answer><answer>\boxed{7}</answer>", "abstained"),
    "yes-and-no": ("Yes. And also no.", "abstained"),
    "a-thousand-digits": (r"\boxed{" + "9" * 100_000 + "}", "abstained"),
    "unclosed-thought": (r"<think>so \boxed{24}", "truncated"),
    "thought-opened-again": (r"<think>a</think>\boxed{24}<think>", "truncated"),
    "unclosed-thinking": ("<thinking>The answer is 24", "truncated"),
    "unclosed-reasoning": (r"<reasoning>so \boxed{24}", "truncated"),
    "unclosed-think-round-another": (r"<think>a <reasoning>b</reasoning> \boxed{24}", "truncated"),
    "unclosed-block": ("<think>a</think><answer>24", "truncated"),
    "unclosed-box": (r"\boxed{\frac{1}{2}", "truncated"),
}


@pytest.mark.parametrize(("response", "value", "rule"), LETTERS.values(), ids=LETTERS)
def test_a_choice_is_read_as_a_person_reads_it(response: str, value: str, rule: str) -> None:
    found = extract_answer(response, NUMBERS)
    assert (found.status, found.value, found.rule) == ("answered", value, rule)


@pytest.mark.parametrize(("response", "rule"), NO_LETTER.values(), ids=NO_LETTER)
def test_no_choice_is_guessed(response: str, rule: str) -> None:
    found = extract_answer(response, NUMBERS)
    assert (found.status, found.value, found.rule) == ("abstained", None, rule)


def test_an_answer_beside_all_choices_is_an_answer_but_no_letter() -> None:
    assert extract_answer(r"\boxed{17}", NUMBERS).value == "17"


@pytest.mark.parametrize(
    ("response", "value"),
    [
        pytest.param("It is an equilateral triangle.", "A", id="the-longer-hides-the-shorter"),
        pytest.param("It is a triangle.", "B", id="the-shorter-alone"),
        pytest.param("a square or a circle", None, id="two"),
        pytest.param(r"\boxed{\text{Square}}", "C", id="boxed-in-another-case"),
    ],
)
def test_an_option_text_counts_if_it_is_the_only_one(response: str, value: str | None) -> None:
    assert extract_answer(response, SHAPES).value == value


@pytest.mark.parametrize(("response", "value", "rule"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_without_choices_is_what_was_given_as_the_answer(response: str, value: str, rule: str | None) -> None:
    found = extract_answer(response)
    assert (found.status, found.value) == ("answered", value)
    assert rule in (None, found.rule)


@pytest.mark.parametrize(("response", "status"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_what_is_no_answer_is_not_made_one(response: str, status: str) -> None:
    found = extract_answer(response)
    assert (found.status, found.value) == (status, None)


@pytest.mark.parametrize(
    "response", ["<think>B? C?</think>\n<answer>\\boxed{C}</answer>", "a\nB\n", "So the answer is D."]
)
def test_the_span_is_where_the_answer_stands(response: str) -> None:
    found = extract_answer(response, NUMBERS)
    assert found.span is not None and found.value is not None
    assert response[slice(*found.span)] == found.value


ADVERSARIES = {
    "boxes-never-closed": r"\boxed{" * 15_000,
    "boxes-in-boxes": r"\boxed{" * 7_000 + "}" * 7_000,
    "answers-never-closed": "<answer>" * 12_000,
    "thoughts-and-answers": "<think></think><answer>" * 4_000 + "</answer>",
    "markers": "the answer is " * 7_000,
    "suppositions": "if the answer is " * 6_000,
    "denied-boxes": r"not \boxed{5} " * 7_000,
    "waits": "The answer is 5 " + "wait " * 20_000,
    "spaces": "answer" + " " * 100_000 + ":",
    "new-lines": "Answer:" + "\n" * 100_000,
    "stars": "*" * 100_000,
    "brackets": "(" * 100_000 + "B",
    "braces": "{" * 100_000,
    "dollars": "$" * 100_000,
    "digits": "1" * 100_000,
    "option-texts": "30 " * 30_000,
    "letter-and-a-gap": r"\boxed{A" + " \n" * 199 + "}",
    "tag-beginnings": "<answer" + " " * 100_000,
}


@pytest.mark.timeout(20)  # what is not linear takes minutes
@pytest.mark.parametrize("response", ADVERSARIES.values(), ids=ADVERSARIES)
def test_no_response_takes_long(response: str) -> None:
    assert isinstance(extract_answer(response), Extraction)
    assert isinstance(extract_answer(response, NUMBERS), Extraction)


def test_an_outline_is_as_long_as_the_response() -> None:
    response = "<think>a <answer>b</think> c <answer>d</answer>"
    parts = outline(response)
    assert [response[slice(*span)] for span in parts.thoughts] == ["a <answer>b"]
    assert [response[slice(*span)] for span in parts.answers] == ["d"]
    assert parts.visible.strip() == "c <answer>d</answer>" and len(parts.visible) == len(response)


def test_boxes_are_found_by_counting_braces() -> None:
    text = r"\boxed{a{b}{c{d}}} and \fbox {e\}f}"
    assert [text[slice(*span)] for span in boxes(text) or []] == ["a{b}{c{d}}", r"e\}f"]
