"""How a chain of thought comes to a fact: whether the clauses that say it see it, or conclude it.

    "The label reads 12. Since AB = AC, the triangle is isosceles, so BD = 5."     BD = 5 is concluded, 12 is seen

An extractor that leaves out "therefore" makes a deduction look like a fact; the text that it read still tells.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

from perception_r1.annotate.arithmetic import follows
from perception_r1.annotate.statements import NUMBER, POWERS, Key, Quantity, words_of
from perception_r1.annotate.wording import (
    BEHIND,
    EQUATION,
    INSIDE,
    KNOWLEDGE,
    LAW,
    QUOTED,
    RESULT,
    SEES,
    SINCE,
    THUS,
    TOLD,
    WORKED,
)

THOUGHT = re.compile(r"<answer>.*|</?think>", re.DOTALL)
ANSWER = re.compile(r"<answer>.*?(?:</answer>|$)", re.DOTALL)
DRESS = re.compile(r"[*#`|$]|\\[()\[\]]")
SENTENCES = re.compile(r"\n+|(?<=[.;!?])(?!\d)\s+|[。；！？]|(?<=\d)\s+(?=[A-Z][a-z])")  # a value may end one
COMMAS = re.compile(r"(?<!\d),(?!\d{3})\s*(?![^()]*\))|(?<=\d),\s+(?![^()]*\))|，|、|(?<=\w):\s|(?<=므로)\s|(?<=ので)")
EXPRESSION = re.compile(r"\d*[a-z]\s*[-+−]\s*\d+(?:\.\d+)?\b(?!\s*[=≈])")  # 3x + 5 says nothing of a 5
LONGEST = 1_000  # of a sentence, in characters: what is longer is no sentence, and the patterns take their time with it
BARE = 1  # words beside its numbers: "Bar C is 9" lists what is seen
SEEN_FIRST = 2  # numbers, before anything can be worked out from them
LAST = 8  # clauses with which numbers come in, at which one looks: an end is short, and looking takes its time
ENOUGH = 0.75  # of a fact's words, for a clause to be about it


@dataclass(frozen=True)
class Clause:
    """A piece of a sentence: its words, its numbers, and how it comes to what it says."""

    words: frozenset[str]
    numbers: frozenset[float]  # without those that it only reckons with
    concludes: bool
    sees: bool = False
    reckons: bool = False
    sentence: frozenset[str] = frozenset()  # the words of all of it
    reasons: bool = False  # it concludes, or gives a reason, a law or a sum: what comes behind it may be worked out

    @cached_property
    def mentioned(self) -> frozenset[float]:
        """All numbers in it."""
        return frozenset(float(word) for word in self.words if NUMBER.fullmatch(word))


def clauses(text: str) -> list[Clause]:
    """The clauses of a chain of thought, without its answer."""
    plain = unicodedata.normalize("NFKC", DRESS.sub(" ", THOUGHT.sub(" ", text)).translate(POWERS))
    sentences = (sentence.strip()[:LONGEST] for sentence in SENTENCES.split(plain))
    return [clause for sentence in sentences if sentence for clause in _of(sentence)]


def answers(text: str) -> frozenset[float]:
    """The numbers of the answer that a chain of thought ends in."""
    found = ANSWER.search(text)
    return _numbers(words_of(DRESS.sub(" ", found[0]).replace("boxed", " "))) if found else frozenset()


def is_concluded(
    key: Key,
    said: list[Clause],
    asked: frozenset[float] = frozenset(),
    ends: frozenset[float] = frozenset(),
    made: frozenset[float] = frozenset(),
) -> bool:
    """Whether every clause that says it concludes it; not so where none does, and nothing can be told.

    `asked` are the numbers of the question, which one may reckon with, `ends` those of the answer, `made` those that
    are worked_out.
    """
    numbers = frozenset({key.number}) if isinstance(key, Quantity) else _numbers(key.content)
    if len(numbers) == 1 and any(_is_reckoned(one, said) or _follows(one, said, asked, ends) for one in numbers):
        return True  # also "Angle B has 70 gradi": a unit that nobody knows makes words of a quantity
    if numbers & made and numbers <= made | asked | {1.0}:  # "One box weighs 4"
        return True
    about = _about_number(key, said) if isinstance(key, Quantity) else _about_words(frozenset(key.content), said)
    return bool(about) and all(clause.concludes for clause in about)


def _is_reckoned(number: float, said: list[Clause]) -> bool:
    """Whether the number comes in as the result of a calculation, and is never said to be seen."""
    with_it = [clause for clause in said if number in clause.numbers]
    return bool(with_it) and with_it[0].reckons and not any(clause.sees for clause in with_it)


def _follows(number: float, said: list[Clause], asked: frozenset[float], ends: frozenset[float]) -> bool:
    """Whether it comes in, unseen, once there was reasoning, and is the answer or follows from the numbers before."""
    first = next((place for place, clause in enumerate(said) if number in clause.mentioned), None)
    if first is None or number not in said[first].numbers or number in asked:  # put in, not worked out
        return False
    if any(clause.sees for clause in said if number in clause.mentioned):
        return False
    if not any(clause.reasons for clause in said[: first + 1]):
        return False
    before = asked.union(*(clause.mentioned for clause in said[: first + 1])) - {number}
    return number in ends or follows(number, before)


@dataclass(frozen=True)
class _Step:
    """What comes in with a clause, what was there before, and whether it can have been worked out from that."""

    fresh: frozenset[float]
    known: frozenset[float]
    follows: bool


def worked_out(said: list[Clause], asked: frozenset[float], ends: frozenset[float]) -> frozenset[float]:
    """The numbers that a chain of thought ends in, once all that comes in follows from what was there before.

    Those are the answer, what comes in behind it, and what one cannot do without on the way to it. Nothing where the
    answer is not among them: then it was read off.
    """
    found = frozenset[float]()
    later: list[_Step] = []
    for step in reversed(_steps(said, asked)):
        if not step.follows:
            break
        is_needed = any(not follows(one, after.known - step.fresh) for after in later for one in after.fresh)
        if step.fresh & ends or not found & ends or is_needed:
            found |= step.fresh
            later.append(step)
    return found if found & ends else frozenset()


def _steps(said: list[Clause], asked: frozenset[float]) -> list[_Step]:
    """The last clauses with which numbers come in; what is seen, and a sentence that lists, is no calculation."""
    coming: list[tuple[Clause, frozenset[float], frozenset[float]]] = []
    known = asked
    for clause in said:
        if fresh := clause.mentioned - known:
            coming.append((clause, fresh, known))
            known |= fresh
    steps: list[_Step] = []
    listing = frozenset[str]()
    for clause, fresh, known in coming[-LAST:]:
        is_bare = len(clause.words) - len(clause.mentioned) <= BARE
        may = len(known - asked) >= SEEN_FIRST and not (clause.sees or is_bare or clause.sentence == listing)
        steps.append(_Step(fresh, known, may and all(follows(number, known) for number in fresh)))
        listing = listing if steps[-1].follows else clause.sentence
    return steps


def _about_number(key: Quantity, said: list[Clause]) -> list[Clause]:
    """The clauses with the number, and of these the ones that name most of the thing."""
    same = [clause for clause in said if key.number in clause.numbers]
    subject = frozenset(key.subject)
    names = frozenset(word for word in subject if word.isupper())
    near = {clause: clause.words for clause in same if names <= clause.words}
    near = near or {clause: clause.sentence for clause in same if names <= clause.sentence}  # "R is like Q, so it is 7"
    most = max((len(subject & words) for words in near.values()), default=0)
    return [one for one, words in near.items() if len(subject & words) == most] if 2 * most >= len(subject) else same


def _about_words(content: frozenset[str], said: list[Clause]) -> list[Clause]:
    """The clauses with most of the words or, where none has, with all of the numbers."""
    about = [clause for clause in said if content and len(content & clause.words) >= ENOUGH * len(content)]
    numbers = _numbers(tuple(content))
    return about or [clause for clause in said if numbers and numbers <= clause.numbers]


@lru_cache(maxsize=16_384)
def _of(sentence: str) -> tuple[Clause, ...]:
    whole = frozenset(words_of(sentence))
    return tuple(replace(clause, sentence=whole) for clause in _parted(sentence))


def _parted(sentence: str) -> Iterator[Clause]:
    """The clauses of one sentence; a conclusion lasts to its end, unless something is seen."""
    by_law = bool(LAW.search(QUOTED.sub(" ", sentence)))
    concludes = after_since = False
    pieces = [piece for piece in _pieces(sentence) if piece.strip()]
    for number, piece in enumerate(pieces):
        bare = QUOTED.sub(" ", piece)
        if SINCE.search(bare):
            after_since = True
            yield replace(_clause(piece, False), reasons=True)
            continue
        concludes |= after_since or by_law or bool(THUS.search(bare))
        follows = number + 1 < len(pieces) and BEHIND.match(pieces[number + 1].strip()) is not None
        reasoned = (concludes or follows) and not SEES.search(bare) and not TOLD.search(bare)
        made = _clause(piece, reasoned)
        yield replace(made, reasons=concludes or made.reckons or bool(RESULT.search(bare) or KNOWLEDGE.search(bare)))


def _pieces(sentence: str) -> Iterator[str]:
    """The sentence parted at commas, and before words that conclude or give a reason, unless they stand inside."""
    for part in COMMAS.split(sentence):
        signs = [found for pattern in (THUS, BEHIND) for found in pattern.finditer(part)]
        places = {found.start() for found in signs if not INSIDE.search(part[: found.end()])}
        yield from (part[start:end] for start, end in pairwise(sorted(places | {0, len(part)})))


def _clause(piece: str, concludes: bool) -> Clause:
    """The clause; of a calculation only the result is said, and it is concluded."""
    words = words_of(piece)
    if EQUATION.search(piece) or WORKED.search(piece):
        result = re.split(r"[=≈]", piece)[-1]
        return Clause(frozenset(words), _numbers(words_of(result)[:1]), True, reckons=True)
    sees = bool(SEES.search(QUOTED.sub(" ", piece)))
    said = words_of(EXPRESSION.sub(" ", piece)) if EXPRESSION.search(piece) else words
    return Clause(frozenset(words), _numbers(said), concludes, sees)


def _numbers(words: tuple[str, ...]) -> frozenset[float]:
    return frozenset(float(word) for word in words if NUMBER.fullmatch(word))
