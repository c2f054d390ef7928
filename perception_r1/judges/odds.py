"""Whether the plain statements of a text fit together, where they speak of the same things in different ways.

"A is 3. B is 5. A is taller than B." states each of its sentences, and whoever is paid for each could say them all.
"""

from collections.abc import Iterable

from perception_r1.judges.claims import Claim, Key
from perception_r1.judges.notation import Value, size

_MOST = ("tallest", "longest", "largest")
_LEAST = ("shortest", "smallest")
_LINES = ("parallel", "perpendicular")


def at_odds(key: Key, claims: Iterable[Claim]) -> bool:
    """Whether what is said under other keys cannot be true with what is said under this one, or may be meant by it."""
    said = [claim for claim in claims if claim.affirmed and claim.key != key]
    if key[0] == "angle":
        return any(_same_corner(key[1], claim.key[1]) for claim in said if claim.key[0] == "angle")
    if key[0] in _LINES:
        return any(claim.key[0] in _LINES and claim.key[1:] == key[1:] for claim in said)
    sizes: dict[Key, float] = {claim.key: size(claim.value) for claim in said if len(claim.key) == 2}
    stated = [claim.value for claim in claims if claim.affirmed and claim.key == key]
    return any(_belied(key, value, sizes) for value in stated)


def _same_corner(one: str, two: str) -> bool:
    """Whether two names may be of one angle: ABC and B."""
    return len(one) != len(two) and one[len(one) // 2] == two[len(two) // 2]


def _belied(key: Key, value: Value, sizes: dict[Key, float]) -> bool:
    """Whether sizes speak against a comparison."""
    if key[0] == "end":
        of_kind = {thing[1]: known for thing, known in sizes.items() if thing[0] == key[1]}
        own = of_kind.get(value[1])
        most, least = max(of_kind.values(), default=0.0), min(of_kind.values(), default=0.0)
        return own is not None and ((key[2] in _MOST and own < most) or (key[2] in _LEAST and own > least))
    if key[0] not in ("size", "equal"):
        return False
    one, two = (sizes.get(_thing(name)) for name in key[1:])
    if one is None or two is None:
        return False
    return not {"more": one > two, "less": one < two, "holds": one == two}[value[1]]


def _thing(name: str) -> Key:
    """The key of what a comparison names: "bar A", or in an equation AB."""
    kind, _, letters = name.rpartition(" ")
    return kind or ("segment" if len(letters) == 2 else "angle"), letters
