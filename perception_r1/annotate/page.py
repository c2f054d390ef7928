"""What a person is shown of a finished annotation: the funnel, the cost, and a dozen examples with their pictures."""

import base64
import html
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perception_r1.annotate.funnel import picture
from perception_r1.annotate.usage import Usage, beside_the_paper
from perception_r1.records import Annotation, Problem

EXAMPLES = 12
MARKS = re.compile(r"[\\`*_\[\]()~|!]")
SIDE = 256  # of a thumbnail, in pixels: the page is stored by the server, whole


def page(
    steps: Sequence[tuple[str, int]],
    used: Sequence[Usage],
    problems: Iterable[Problem],
    count: int,
    annotations: Sequence[Annotation],
    quality: Mapping[str, Any] | None = None,
) -> str:
    """Markdown that needs nothing beside it; the examples are spread evenly over the problems with annotations."""
    facts: dict[str, list[Annotation]] = defaultdict(list)
    for one in annotations:
        facts[one.problem].append(one)
    parts = ["# From problems to clean annotations", _image(picture(steps).encode(), "image/svg+xml", "the funnel")]
    parts += ["## Cost", _cost(used), beside_the_paper(used, count)]
    parts += ["## Quality against the truth", _quality(quality)] if quality else []
    parts += [
        f"## {EXAMPLES} examples",
        *(_example(problem, facts[problem.id]) for problem in _spread(problems, facts)),
    ]
    return "\n\n".join(parts) + "\n"


def _spread(problems: Iterable[Problem], facts: Mapping[str, Sequence[Annotation]]) -> list[Problem]:
    """Every n-th problem that has annotations; the others are not kept in memory."""
    every = max(1, sum(any(not one.dropped for one in each) for each in facts.values()) // EXAMPLES)
    kept = (one for one in problems if any(not fact.dropped for fact in facts.get(one.id, ())))
    return [one for number, one in enumerate(kept) if number % every == 0][:EXAMPLES]


def _example(problem: Problem, facts: Sequence[Annotation]) -> str:
    """One problem: its pictures, the question, what was kept and what was dropped."""
    pictures = " ".join(_image(thumbnail(image), "image/png", "the picture") for image in problem.images)
    question = _plain(problem.question.replace("<image>", " "))
    kept = [
        f"- {_plain(one.text)} *({one.type}, {one.support} of {one.trajectories})*" for one in facts if not one.dropped
    ]
    lost = [f"- ~~{_plain(one.text)}~~ {_plain(one.dropped)}" for one in facts if one.dropped]
    return "\n".join(
        [
            f"### {_plain(problem.id)}",
            "",
            pictures,
            "",
            f"**{question}**  {_plain(problem.answer)}",
            "",
            *kept,
            *lost,
        ]
    )


def _plain(text: str) -> str:
    """The text on one line, as no Markdown and no HTML: what a data set or a model says loads nothing from anywhere."""
    return MARKS.sub(r"\\\g<0>", html.escape(" ".join(text.split())))


def thumbnail(image: bytes, side: int = SIDE) -> bytes:
    """The picture as a PNG of at most so many pixels a side."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        small = opened.convert("RGB")
    small.thumbnail((side, side))
    data = io.BytesIO()
    small.save(data, "PNG", optimize=True)
    return data.getvalue()


def _image(data: bytes, mime: str, says: str) -> str:
    return f"![{html.escape(says)}](data:{mime};base64,{base64.b64encode(data).decode('ascii')})"


def _cost(used: Sequence[Usage]) -> str:
    columns = ["role", "model", "requests", "failures", "prompt tokens", "completion tokens", "USD"]
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    return head + "\n".join(
        f"| {one.role} | {one.model} | {one.requests:,} | {one.failures:,} | {one.prompt_tokens:,} | "
        f"{one.completion_tokens:,} | {one.usd:,.2f} |"
        for one in used
    )


def _quality(quality: Mapping[str, Any]) -> str:
    head = "| type | kept | right | wrong | precision | facts | found | recall |\n|---|---|---|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {row['type']} | {row['kept']} | {row['right']} | {row['wrong']} | {_interval(row, 'precision')} | "
        f"{row['facts']} | {row['found']} | {_interval(row, 'recall')} |"
        for row in quality["by_type"]
    )


def _interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "not known" if row[name] is None else f"{row[name]:.3f} ({low:.3f} to {high:.3f})"
