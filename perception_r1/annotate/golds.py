r"""Right answers, in one spelling, and proved against the grader that will use them.

    $2 \sqrt { 221 }$  →  2\sqrt{221}        (B) 24, of the choices 12, 24, 36  →  B

An answer that the grader does not find right when it is given back would make every response to it wrong.
"""

import re
from collections.abc import Iterator

from perception_r1.errors import BadProblem
from perception_r1.evaluate.choices import lettered
from perception_r1.evaluate.grading import gold_letter, graded
from perception_r1.evaluate.notation import bare
from perception_r1.evaluate.reading import read
from perception_r1.records import Problem

SPACED = re.compile(r"\s*([{}^_])\s*")  # in LaTeX they mean nothing there


def normalised(answer: str, choices: tuple[str, ...]) -> str:
    """The answer without what only dresses it; that of a choice is its letter; raises BadProblem if it is none."""
    text = " ".join(bare(answer).split())
    if choices:
        letter = gold_letter(text, lettered(choices))
        if letter is None:
            raise BadProblem(f"its answer {answer!r} is none of its {len(choices)} choices")
        return letter
    return SPACED.sub(r"\1", text) if "\\" in text else text


def unproven(problem: Problem) -> str:
    """Why the grader cannot be trusted with the problem's answer; nothing if it can."""
    if problem.answer_type in ("integer", "float") and read(problem.answer) is None:
        return f"its answer {problem.answer!r} is no {problem.answer_type}"
    if not _right(problem.answer, problem):
        return f"its answer {problem.answer!r} ({problem.answer_type}) is not graded right when it is given back"
    wrong = next((wrong for wrong in _wrong(problem) if _right(wrong, problem)), None)
    return "" if wrong is None else f"{wrong!r} is graded right although its answer is {problem.answer!r}"


def _right(answer: str, problem: Problem) -> bool:
    response = f"<think>...</think>\n<answer>\\boxed{{{answer}}}</answer>"
    return graded(response, problem.answer, problem.answer_type, choices=lettered(problem.choices))[1].correct


def _wrong(problem: Problem) -> Iterator[str]:
    """What is certainly not the answer."""
    if problem.choices:
        yield from (letter for letter in lettered(problem.choices) if letter != problem.answer)
    elif problem.answer_type == "yes_no":
        yield {"yes": "no", "no": "yes"}.get(problem.answer.casefold(), "")
    elif problem.answer_type == "letter":
        yield "B" if problem.answer != "B" else "A"
    else:
        yield f"{problem.answer} + 1"
