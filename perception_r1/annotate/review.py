"""Annotations judged by people: a blinded sheet out, verdicts in, and how far the people agree.

    sheet.html   one page with the pictures; its button saves what was chosen as CSV
    sheet.csv    the same to fill in by hand: code, statement, verdict, note
    key.json     which annotation a code stands for: keep it away from whoever judges

What hygiene has dropped is among the statements and looks like the rest, so that its mistakes can be counted, too.
"""

import base64
import csv
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, cast, get_args

from perception_r1.annotate.page import thumbnail
from perception_r1.errors import ConfigError
from perception_r1.records import Annotation, Problem

SHEET = Path(__file__).parent / "review.html"
COLUMNS = ("code", "statement", "verdict", "note")
DROPPED = 0.25  # of a sheet
SIDE = 768  # pixels of a picture on the sheet

Verdict = Literal["right", "wrong", "invisible", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Item:
    """One statement of a sheet; only code and text are shown."""

    code: str
    annotation: str
    problem: str
    text: str
    type: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Review:
    """What one person says of one annotation."""

    reviewer: str
    annotation: str
    type: str
    kept: bool
    verdict: Verdict
    note: str


def drawn(annotations: Sequence[Annotation], count: int, seed: int) -> list[Item]:
    """A sample in random order: a quarter of it was dropped, where there is that much; raises ConfigError if empty."""
    if count < 1:
        raise ConfigError(f"a sheet of {count} statements is none; ask for one or more")
    chance = random.Random(f"{seed} review")
    kept = [one for one in annotations if not one.dropped]
    lost = [one for one in annotations if one.dropped]
    if not annotations:
        raise ConfigError("there are no annotations to review")
    few = min(len(lost), max(round(count * DROPPED), count - len(kept)))
    some = [*chance.sample(kept, min(count - few, len(kept))), *chance.sample(lost, few)]
    chance.shuffle(some)
    # a letter first: a table calculator makes numbers of 000123 and 12e345
    codes = chance.sample(range(16**6), len(some))
    return [
        Item(f"c{code:06x}", one.id, one.problem, one.text, one.type, not one.dropped)
        for code, one in zip(codes, some, strict=True)
    ]


def write_sheet(folder: Path, items: Sequence[Item], problems: Iterable[Problem], version: str) -> None:
    """Writes the page, the table and the key to that version of annotations; raises ConfigError where one lies."""
    if (folder / "key.json").exists() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder} holds a sheet already, or is no folder; choose another one")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "sheet.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *((item.code, _plain(item.text), "", "") for item in items)])
    (folder / "sheet.html").write_text(_page(items, problems), encoding="utf-8")
    key = {item.code: {"annotation": item.annotation, "type": item.type, "kept": item.kept} for item in items}
    (folder / "key.json").write_text(json.dumps({"version": version, "codes": key}, indent=1))


def _plain(text: str) -> str:
    """The text as no table calculator takes it for a formula: a model has written it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _page(items: Sequence[Item], problems: Iterable[Problem]) -> str:
    """One page, a section a problem, in the order in which the problems come up among the items."""
    import jinja2

    of: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        of[item.problem].append(item)
    pictures = {problem.id: [_uri(image) for image in problem.images] for problem in problems if problem.id in of}
    sections = [{"pictures": pictures.get(name, []), "statements": some} for name, some in of.items()]
    return (
        jinja2.Environment(autoescape=True).from_string(SHEET.read_text()).render(problems=sections, verdicts=VERDICTS)
    )


def _uri(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(thumbnail(image, SIDE)).decode('ascii')}"


def read_reviews(folder: Path, sheets: Sequence[Path], version: str) -> list[Review]:
    """What the sheets say of that version, each filled in by one person; what was left open is left out.

    Raises ConfigError.
    """
    try:
        key = json.loads((folder / "key.json").read_text())
        drawn_from, codes = key["version"], key["codes"]
    except OSError:
        raise ConfigError(f"there is no key.json in {folder}; it was written beside the sheet") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder / 'key.json'} is damaged; draw the sheet again with its seed") from None
    if drawn_from != version:
        raise ConfigError(f"the sheet in {folder} was drawn from {drawn_from}, not from {version}; name that one")
    if double := [name for name, count in Counter(sheet.stem for sheet in sheets).items() if count > 1]:
        raise ConfigError(f"two sheets are called {double[0]}; name each after the person who filled it in")
    return [review for sheet in sheets for review in _read(sheet, codes)]


def _read(sheet: Path, key: Mapping[str, Any]) -> list[Review]:
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter=max(",;\t", key=head.count)))  # as the reader's country has it
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{sheet} cannot be read: {error}") from None
    found: dict[str, Review] = {}
    for number, row in enumerate(rows, 2):
        code, verdict = str(row.get("code") or "").strip(), str(row.get("verdict") or "").strip().casefold()
        _check(f"{sheet}, line {number}", code, verdict, key, code in found)
        if verdict:
            of = key[code]
            note = str(row.get("note") or "")
            found[code] = Review(sheet.stem, of["annotation"], of["type"], of["kept"], cast(Verdict, verdict), note)
    return list(found.values())


def _check(where: str, code: str, verdict: str, key: Mapping[str, Any], is_double: bool) -> None:
    if code not in key:
        raise ConfigError(f"{where}: code {code!r} is not of this sheet")
    if is_double:
        raise ConfigError(f"{where}: code {code!r} was there before")
    if verdict and verdict not in VERDICTS:
        raise ConfigError(f"{where}: verdict {verdict!r} is unknown; known: {', '.join(VERDICTS)}")


@dataclass(frozen=True, slots=True)
class Finding:
    """A share that was found by people, with Wilson's interval of 95 %; None where there was nothing to count."""

    what: str
    n: int
    k: int
    share: float | None
    low: float | None
    high: float | None


def findings(reviews: Sequence[Review]) -> list[Finding]:
    """How many kept annotations are right, in all and by type; how many dropped ones; and how far pairs agree.

    An annotation counts once, however many people have judged it, as most of those say who were sure; where they are
    evenly divided it is not right.
    """
    decided = _decided(reviews)
    kept, lost = [r for r in decided if r.kept], [r for r in decided if not r.kept]
    rows = [_right("kept and right", kept)]
    rows += [_right(f"kept and right: {kind}", [r for r in kept if r.type == kind]) for kind in _types(kept)]
    rows.append(_right("dropped though right", lost))
    for one, other in combinations(dict.fromkeys(review.reviewer for review in reviews), 2):
        rows += _agreed(one, other, reviews)
    return rows


def _decided(reviews: Sequence[Review]) -> list[Review]:
    """One review an annotation, of those that somebody was sure of."""
    of: dict[str, list[Review]] = defaultdict(list)
    for review in reviews:
        if review.verdict != "unsure":
            of[review.annotation].append(review)
    right = {name: 2 * sum(one.verdict == "right" for one in some) > len(some) for name, some in of.items()}
    return [replace(some[0], verdict="right" if right[name] else "wrong") for name, some in of.items()]


def _types(reviews: Iterable[Review]) -> list[str]:
    return sorted({review.type for review in reviews})


def _right(what: str, reviews: Sequence[Review]) -> Finding:
    return _finding(what, sum(review.verdict == "right" for review in reviews), len(reviews))


def _finding(what: str, k: int, n: int) -> Finding:
    from perception_r1.compare.proportion import proportion_ci  # scipy takes half a second to import

    if not n:
        return Finding(what, 0, 0, None, None, None)
    interval = proportion_ci(k, n).wilson
    return Finding(what, n, k, k / n, interval.low, interval.high)


def _agreed(one: str, other: str, reviews: Sequence[Review]) -> list[Finding]:
    """How often two people say the same of what both have judged, and Cohen's kappa."""
    said: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for review in reviews:
        said[review.annotation][review.reviewer] = review.verdict
    pairs = [(by[one], by[other]) for by in said.values() if one in by and other in by]
    same = sum(a == b for a, b in pairs)
    kappa = Finding(f"Cohen's kappa of {one} and {other}", len(pairs), same, cohens_kappa(pairs), None, None)
    return [_finding(f"{one} and {other} agree", same, len(pairs)), kappa]


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Agreement beyond chance; None where one answer is all there is."""
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    by_chance = sum(first[verdict] * second[verdict] for verdict in first) / n**2 if n else 1.0
    if by_chance == 1:
        return None
    return (sum(a == b for a, b in pairs) / n - by_chance) / (1 - by_chance)
