r"""The embedded world's held-out charts: nothing in them was seen in training, and every fact of them is known.

    id        heldout-000001-max
    image     84 x 84 pixels: columns A, B, C
    question  <image>Which bar is the tallest?
    choices   A, B, C
    answer    B
    stratum   max                       (cmp and max can be guessed, diff cannot)
    facts     Bar A is 3. Bar B is 9. Bar C is 5.

What a response saw is read off its thought by the rule below, without a judge: so that a judge that trains the
model cannot also be the one that finds it to see better.
"""

import re
from collections.abc import Iterator
from itertools import chain

from perception_r1.benchmarks.item import Item, by_type
from perception_r1.evaluate.layout import outline
from perception_r1.evaluate.metrics import by_stratum
from perception_r1.records import FactVerdict, Verdict
from perception_r1.sections import PINNED, Data
from perception_r1.world.charts import BARS, Task, problems, tasks

COUNT = 513  # of all items: a third each of cmp, max and diff

_CLAUSE = r"(?:(?! (?:and|but|while) bar\b)[^.;,\n]|\.(?=\d)|,(?= ?\d))*"  # a hedge ("7 or 5", "7, 5") belongs to it
_CLAIM = re.compile(rf"\bbar ([A-Z]) is (\d{_CLAUSE})", re.IGNORECASE)
_UNIT = re.compile(r"(?: units?)?(?: tall| high)?\s*$")


DATA = None  # drawn here, from no hub
grade, metrics = by_type, by_stratum


def items(limit: int, seed: int, data: Data = PINNED) -> Iterator[Item]:
    """The first `limit` items, or all of them if it is 0; the same for the same seed."""
    count = limit or COUNT
    for problem, task in zip(problems("heldout", count, seed), tasks("heldout", count, seed), strict=True):
        beside = _beside(task)
        caption = " ".join(sorted((*task.facts, *beside)))
        yield Item(problem, task.question, task.facts, beside=beside, caption=caption)


def _beside(task: Task) -> tuple[str, ...]:
    """The heights of the bars that the question is not about."""
    return tuple(f"Bar {bar} is {task.chart.height(bar)}." for bar in BARS if bar not in task.bars)


def read(response: str, item: Item) -> tuple[FactVerdict, ...]:
    """A verdict for each bar that is asked about, and for each other bar that is read wrongly.

    A claim is "Bar A is 7" to the end of its clause; a bar of which anything else is claimed too is read wrongly.
    """
    claimed: dict[str, set[str]] = {}
    for bar, height in _claims(response):
        claimed.setdefault(bar, set()).add(height)
    truth = {bar: {height} for fact in (*item.facts, *item.beside) for bar, height in _CLAIM.findall(fact)}
    asked = {bar: fact for fact in item.facts for bar, _ in _CLAIM.findall(fact)}
    verdicts = [FactVerdict(fact, "length", _verdict(claimed.get(bar), truth[bar])) for bar, fact in asked.items()]
    for bar in sorted(claimed.keys() - asked.keys()):
        if claimed[bar] != truth.get(bar):
            claim = " or ".join(sorted(claimed[bar]))
            verdicts.append(FactVerdict(f"Bar {bar} is {claim}.", "length", "contradicted", known=False))
    return tuple(verdicts)


def _verdict(claimed: set[str] | None, truth: set[str]) -> Verdict:
    if claimed is None:
        return "absent"
    return "supported" if claimed == truth else "contradicted"


def _claims(response: str) -> Iterator[tuple[str, str]]:
    """The bars and what they are claimed to be, in the finished thoughts of a response."""
    thoughts = (response[slice(*span)] for span in outline(response).thoughts)
    for bar, height in chain.from_iterable(_CLAIM.findall(thought) for thought in thoughts):
        yield bar.upper(), _UNIT.sub("", height)
