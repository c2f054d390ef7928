"""The accuracy reward beside math-verify: the same outcomes, and how much faster.

pip install --target /tmp/math-verify math-verify==0.9.0        # not a dependency: only this bench wants it
PYTHONPATH=/tmp/math-verify:. python -m bench.accuracy          # writes bench/results/accuracy.md

2,000 generated pairs of a gold answer and a response, of the common sorts: integers, decimals, fractions, simple surds,
letters. math-verify gets its golds with delimiters, as it must (without, it reads `2 \\sqrt{221}` as 221).
"""

import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.machine import described
from perception_r1.records import AnswerType, Completion
from perception_r1.rewards.accuracy import accuracy_reward

RESULTS = Path(__file__).parent / "results" / "accuracy.md"
ROWS = 2000
LETTERS = "ABCD"
Row = tuple[str, str, str, AnswerType]  # sort, gold, what is boxed, type


def main() -> None:
    """Grades every row with both and writes the table."""
    rows = list(table(ROWS, random.Random(0)))
    mine, took = graded(rows, ours)
    theirs, took_them = graded(rows, math_verify())
    text = written(rows, mine, theirs, took, took_them)
    RESULTS.write_text(text)
    print(text)


def table(count: int, chance: random.Random) -> Iterator[Row]:
    """Rows in turn of each sort, about half of them right."""
    makers = (integer, decimal, fraction, surd, letter)
    for number in range(count):
        yield makers[number % len(makers)](chance)


def integer(chance: random.Random) -> Row:
    """24 and ways to write it."""
    gold = chance.randint(-999, 9999)
    said = gold if chance.random() < 0.5 else gold + chance.choice((-10, -1, 1, 10))
    form = chance.choice(("{}", " {} ", "{}.0", "+{}" if said > 0 else "{}", "x={}"))
    return "integer", str(gold), form.format(said), "integer"


def decimal(chance: random.Random) -> Row:
    """35.9, with zeros behind it or a step beside it."""
    places = chance.randint(1, 3)
    gold = round(chance.uniform(0, 200), places)
    said = gold if chance.random() < 0.5 else gold + chance.choice((-1, 1, 0.5))
    return "decimal", f"{gold:.{places}f}", f"{said:.{places + chance.choice((0, 0, 1))}f}", "float"


def fraction(chance: random.Random) -> Row:
    r"""\frac{20}{3}, reduced or not, or with a bar."""
    over, under = chance.randint(1, 60), chance.randint(2, 20)
    times = chance.choice((1, 1, 2, 3))
    top = over * times + (0 if chance.random() < 0.5 else times)
    form = chance.choice((r"\frac{%d}{%d}", r"\dfrac{%d}{%d}", "%d/%d", r"\frac { %d } { %d }"))
    return "fraction", rf"\frac{{{over}}}{{{under}}}", form % (top, under * times), "math"


def surd(chance: random.Random) -> Row:
    r"""2\sqrt{13}, or the same under one root."""
    out, under = chance.randint(2, 9), chance.choice((2, 3, 5, 6, 7, 10, 11, 13, 15))
    said = under if chance.random() < 0.5 else under + 14
    form = chance.choice((rf"{out}\sqrt{{{said}}}", rf"\sqrt{{{out * out * said}}}", rf"{out} \sqrt {{ {said} }}"))
    return "surd", rf"{out}\sqrt{{{under}}}", form, "math"


def letter(chance: random.Random) -> Row:
    """A choice, bare or dressed."""
    gold = chance.choice(LETTERS)
    said = gold if chance.random() < 0.5 else chance.choice(LETTERS.replace(gold, ""))
    return "letter", gold, chance.choice(("{}", r"\text{{{}}}", "({})")).format(said), "letter"


def response(said: str) -> str:
    """A whole response around what is boxed."""
    return f"<think>From the figure we get it, after 3 steps and 12 words.</think><answer>\\boxed{{{said}}}</answer>"


def ours(row: Row) -> bool:
    """The accuracy reward."""
    _, gold, said, kind = row
    return accuracy_reward(Completion(response(said), gold, kind)) == 1.0


def math_verify() -> Callable[[Row], bool]:
    """math-verify with a delimited gold; letters by its own reader of strings."""
    try:
        import math_verify as library
    except ImportError:
        sys.exit(__doc__)
    words: Any = [library.StringExtractionConfig(strings=tuple(LETTERS))]

    def verified(row: Row) -> bool:
        sort, gold, said, _ = row
        if sort == "letter":
            found = library.parse(response(said), extraction_config=[library.LatexExtractionConfig(), *words])
            return bool(library.verify(library.parse(gold, extraction_config=words), found))
        return bool(library.verify(library.parse(f"${gold}$"), library.parse(response(said))))

    return verified


def graded(rows: list[Row], grade: Callable[[Row], bool]) -> tuple[list[bool], dict[str, list[float]]]:
    """The outcomes, and the CPU seconds of each row by its sort; the first pass warms up and is not timed."""
    for row in rows[:50]:
        grade(row)
    took: dict[str, list[float]] = defaultdict(list)
    outcomes = []
    for row in rows:
        started = time.process_time()
        outcomes.append(grade(row))
        took[row[0]].append(time.process_time() - started)
    return outcomes, took


def written(
    rows: list[Row], mine: list[bool], theirs: list[bool], took: dict[str, list[float]], them: dict[str, list[float]]
) -> str:
    """The page."""
    other = [(row, a, b) for row, a, b in zip(rows, mine, theirs, strict=True) if a != b]
    differ = Counter(row[0] for row, *_ in other)
    right = Counter(row[0] for row, outcome in zip(rows, mine, strict=True) if outcome)
    lines = [
        f"| {sort} | {len(took[sort])} | {right[sort]} | {differ[sort]} | {statistics.mean(took[sort]) * 1e6:.0f} | "
        f"{statistics.mean(them[sort]) * 1e6:.0f} | {sum(them[sort]) / sum(took[sort]):.0f} |"
        for sort in took
    ]
    whole = sum(map(sum, them.values())) / sum(map(sum, took.values()))
    told = "\n".join(
        f"| `{row[1]}` | `{row[2]}` | {'right' if a else 'wrong'} | {'right' if b else 'wrong'} |"
        for row, a, b in other[:12]
    )
    shown = f"\n\n| gold | boxed | ours | math-verify |\n|---|---|---|---|\n{told}\n" if other else "\n"
    return (
        f"# The accuracy reward beside math-verify\n\n`python -m bench.accuracy`, math-verify 0.9.0: {described()}.\n\n"
        "| sort | rows | right | other outcome | ours, µs CPU | math-verify, µs CPU | times faster |\n"
        "|---|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\n**{whole:.0f} times** over all rows; {len(other)} of {len(rows)} outcomes differ.{shown}"
    )


if __name__ == "__main__":
    main()
