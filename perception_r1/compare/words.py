"""Numbers as people read them: rates in percent, differences in points, p values to three digits."""


def percent(rate: float) -> str:
    """A rate from 0 to 1 in percent, such as 8.4 %."""
    return f"{100 * rate:.1f} %"


def signed(difference: float) -> str:
    """A difference of rates in points with its sign, such as +2.9; 0.0 has none."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def interval(low: float, high: float) -> str:
    """An interval of a difference in points."""
    return f"{signed(low)} to {signed(high)}"


def pvalue(p: float) -> str:
    """A p value as journals print it: .041, or <.001 where it is smaller than that."""
    if p < 0.001:
        return "<.001"
    return "1" if p > 0.9995 else f"{p:.3f}".removeprefix("0")


def p_is(p: float) -> str:
    """A p value with its letter: p = .041, or p < .001."""
    text = pvalue(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def confidence(alpha: float) -> str:
    """The confidence that belongs to a level, such as 95 %."""
    return f"{100 * (1 - alpha):.4g} %"
