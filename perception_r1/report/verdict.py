"""The answer in one sentence; a result that does not support the claim is said as plainly."""

from collections.abc import Sequence

from perception_r1.compare.contrast import Contrast
from perception_r1.compare.words import confidence, interval, p_is, percent, signed
from perception_r1.report.findings import ANSWERS, SEES, Findings, over_seeds, pairs, rows, seed_rows, settings

TOO_SMALL = "Too small to tell: these runs show that every stage works, and support no conclusion."
NO_FACTS = "Nothing is known of what the models see: no two arms were compared on items whose visual facts are known."
ONE_RUN = "One seed cannot settle it"


def verdict(findings: Findings) -> str:
    """Whether the second of the first two arms sees better than the first; a sentence a benchmark."""
    if findings.meaningless:
        return TOO_SMALL
    shown = [setting for setting in settings(findings) if setting.seen]
    met = [(setting, rows(findings, setting, "arm against arm", SEES)) for setting in shown]
    told = [(setting, _answer(next(pairs(contrasts)))) for setting, contrasts in met if contrasts]
    if len(told) < 2:
        return told[0][1] if told else NO_FACTS
    return " ".join(f"On {setting}: {sentence}" for setting, sentence in told)


def _answer(contrasts: Sequence[Contrast]) -> str:
    """The sentence about one pair of arms on one benchmark."""
    over, single = over_seeds(contrasts), seed_rows(contrasts)
    if not all(row.claimed for row in contrasts):
        return f"Exploratory, as this contrast was not declared beforehand. {_told(over, single, contrasts)}"
    return _told(over, single, contrasts)


def _told(over: Contrast | None, single: Sequence[Contrast], contrasts: Sequence[Contrast]) -> str:
    if over:
        return f"{_claim(over)}: {_numbers(over)}{_chance(over)}, ahead in {over.c} of {over.n} seeds{_holm(over)}."
    if not single:
        return f"Nothing is known of what {contrasts[0].second} sees: every outcome is unknown."
    luck = "one training run cannot tell the reward from the luck of the run"
    return f"{ONE_RUN}: {_numbers(single[0])}{_chance(single[0])}, but {luck}."


def _claim(row: Contrast) -> str:
    """What the interval over items and seeds, and the family of tests, allow to say."""
    if not row.shown:
        apart = row.low is not None and row.high is not None and (row.low > 0 or row.high < 0)
        return f"No difference is shown {'after Holm ' if apart else ''}in what it sees"
    if row.low is not None and row.low > 0:
        return "It sees better" if row.c == row.n else "It sees better on average, but not in every seed"
    if row.high is not None and row.high < 0:
        return "It sees worse" if row.b == row.n else "It sees worse on average, but not in every seed"
    return "No difference is shown in what it sees"


def _numbers(row: Contrast) -> str:
    first, second = percent(row.first_rate or 0.0), percent(row.second_rate or 0.0)
    rates = f"{second} of the items with {row.second} and on {first} with {row.first}"
    return f"all facts right on {rates}, {signed(row.difference or 0.0)} points"


def _chance(row: Contrast) -> str:
    """The interval, and whether it leaves room for no difference at all."""
    if row.low is None or row.high is None:
        return " (no interval can be given)"
    of = "items and seeds" if row.seed is None else "items"
    room = ", which includes 0" if row.low <= 0 <= row.high else ""
    return f" ({confidence(row.alpha)} interval over {of} {interval(row.low, row.high)}{room})"


def _holm(row: Contrast) -> str:
    """The warning where the interval says yes and the family of tests does not."""
    if row.low is None or row.high is None or row.low <= 0 <= row.high or row.shown or row.p_adjusted is None:
        return ""
    return f"; as one of several tests it does not hold (after Holm {p_is(row.p_adjusted)})"


def besides(findings: Findings) -> list[tuple[str, str]]:
    """What belongs beside the verdict, as (about what, what): how the arms answer, and what each came to see."""
    told = []
    for setting in settings(findings):
        if setting.seen:
            against = rows(findings, setting, "arm against arm", ANSWERS)
            changes = rows(findings, setting, "before and after", SEES)
            met = [("Answers", group) for group in list(pairs(against))[:1]]
            met += [(group[0].second, group) for group in pairs(changes)]
            told += [(name, over_seeds(group) or group[0]) for name, group in met]
    return [(name, _in_short(row)) for name, row in told if row.difference is not None]


def _in_short(row: Contrast) -> str:
    """Two rates and their difference."""
    first, second = percent(row.first_rate or 0.0), percent(row.second_rate or 0.0)
    reach = "" if row.low is None or row.high is None else f" ({interval(row.low, row.high)})"
    if row.kind == "before and after":
        rates = f"{row.outcome} {first} before and {second} after training"
    else:
        rates = f"right {first} with {row.first} and {second} with {row.second}"
    return f"{rates}, {signed(row.difference or 0.0)} points{reach}"
