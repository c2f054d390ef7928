"""Is the answer right? The evaluation's own grader, so that training and evaluation can never disagree."""

from perception_r1.evaluate import grade_answer
from perception_r1.evaluate.choices import lettered
from perception_r1.records import Completion


def accuracy_reward(completion: Completion) -> float | None:
    """1 for the right answer, else 0; a response that was cut off answers nothing; None where it cannot be graded."""
    if completion.truncated:
        return 0.0
    choices = lettered(completion.choices) or None
    try:
        grade = grade_answer(completion.text, completion.answer, completion.answer_type, completion.precision, choices)
    except Exception:  # a policy looks for what breaks a grader: neither right nor wrong, and the run goes on
        return None
    return float(grade.correct)
