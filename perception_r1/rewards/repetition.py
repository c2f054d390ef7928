"""How much of the response was said before: 0 for nothing, down to -1 for all.

Letters are counted, not words, and no spaces: text without spaces and other scripts are measured alike. A stretch of
text is repeated if it stood there before, letter by letter; or if it did so many times with other numbers in it, which
is what a loop with a running counter does. A few statements of one form ("Bar 1 is 7. Bar 2 is 5.") cost nothing.
"""

import re

from perception_r1.records import Completion

PASSAGES = (40, 80)  # letters: about eight and sixteen words; what repeats one but not the other counts half
FORM = 24  # letters of a statement with its numbers left out
FREE_FORMS = 8  # as many statements of one form are a list of facts, more are a loop

PAPER_WORDS = 20  # arXiv 2506.07218: n-gram size and greatest penalty of its training script
PAPER_WORST = -2.0

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def repetition_reward(completion: Completion) -> float:
    """The negated share of the response's letters that repeat earlier ones."""
    letters = "".join(completion.text.casefold().split())
    sizes = [size for size in PASSAGES if size <= len(letters) // 2] or PASSAGES[:1]
    passages = sum(_repeated(letters, size, free=1) for size in sizes) / len(sizes)
    return 0.0 - max(passages, _repeated(_NUMBER.sub("#", letters), FORM, FREE_FORMS))


def _repeated(letters: str, size: int, free: int) -> float:
    """The share of the letters that lie in stretches of a size that stood there `free` times before."""
    stretches = [letters[start : start + size] for start in range(len(letters) - size + 1)]
    if len(stretches) - len(set(stretches)) < free:
        return 0.0
    seen: dict[str, int] = {}
    covered, end = 0, 0
    for start, stretch in enumerate(stretches):
        times = seen.get(stretch, 0)
        seen[stretch] = times + 1
        if times >= free:
            covered += start + size - max(end, start)
            end = start + size
    return covered / len(letters)


def paper_repetition_reward(completion: Completion) -> float:
    """The paper's own penalty, for runs that follow it to the letter."""
    return paper_penalty(completion.text)


def paper_penalty(text: str) -> float:
    """The penalty of arXiv 2506.07218's code: -2 times the share of 20-word windows that are not unique.

    A loop with a running counter, or without spaces, costs next to nothing under it.
    """
    words = text.lower().split()
    windows = [tuple(words[start : start + PAPER_WORDS]) for start in range(len(words) - PAPER_WORDS + 1)]
    return PAPER_WORST * (1 - len(set(windows)) / len(windows)) if windows else 0.0
