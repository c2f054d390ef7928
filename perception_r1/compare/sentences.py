"""What a row says, in one sentence."""

from collections.abc import Iterator

from perception_r1.compare.contrast import UNTOUCHED, Contrast
from perception_r1.compare.words import confidence, interval, p_is, percent, signed


def sentence(row: Contrast) -> str:
    """The row in words: where, how much, what chance allows, and what may be concluded."""
    where = row.benchmark if row.condition == UNTOUCHED else f"{row.benchmark} ({row.condition})"
    when = f"seed {row.seed}" if row.seed is not None else f"mean of {row.n} seeds"
    label = "" if row.claimed else ", exploratory"
    head = f"{where}, {when}{label}: {row.outcome}"
    if row.first_rate is None or row.second_rate is None or row.difference is None:
        return f"{head} is known of no item, of {row.second} against {row.first}; {_left_out(row)}."
    parts = [f"{head} {_rates(row)}, {signed(row.difference)} points", *_chances(row)]
    if row.items_left_out:
        parts.append(_left_out(row))
    return f"{'; '.join(parts)}: {_conclusion(row)}."


def _rates(row: Contrast) -> str:
    first, second = percent(row.first_rate or 0.0), percent(row.second_rate or 0.0)
    if row.kind == "before and after":
        return f"{first} before and {second} after training {row.second}"
    if row.kind == "condition against condition":
        sides = (f"{row.second} ({row.condition})", f"{row.first} ({row.first_condition})")
        return f"{second} with {sides[0]} against {first} with {sides[1]}"
    return f"{second} with {row.second} against {first} with {row.first}"


def _chances(row: Contrast) -> Iterator[str]:
    """What is known of chance in a row."""
    if row.low is not None and row.high is not None:
        yield f"{confidence(row.alpha)} interval {interval(row.low, row.high)}"
    if row.p is not None and row.p_adjusted is not None:
        yield f"{p_is(row.p)}, after Holm {p_is(row.p_adjusted)}"
    if row.seed is None:
        better = "up" if row.kind == "before and after" else f"{row.second} ahead"
        yield f"{better} in {row.c} of {row.n} seeds"


def _conclusion(row: Contrast) -> str:
    what = "change" if row.kind == "before and after" else "difference"
    if row.p is None:
        return f"chance cannot be told from a {what} here"
    if not row.shown:
        return f"no {what} is shown" + (" after Holm" if row.p <= row.alpha else "")
    better = (row.difference or 0.0) > 0
    if row.kind == "before and after":
        return "higher after training" if better else "lower after training"
    if row.kind == "condition against condition":
        return f"{'better' if better else 'worse'} with {row.condition} than with {row.first_condition}"
    return f"{row.second} is {'better' if better else 'worse'}"


def _left_out(row: Contrast) -> str:
    return f"{row.items_left_out:,} pair{'s' * (row.items_left_out != 1)} left out, as an outcome is unknown"
