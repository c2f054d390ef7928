"""Annotations that a data set brings itself: ready ones, and diagram logic forms said in words."""

from collections.abc import Sequence

from perception_r1.annotate.extract import Found
from perception_r1.annotate.logic_forms import UnknownForm, said
from perception_r1.annotate.problems import Given
from perception_r1.annotate.statements import type_of


def given_statements(given: Sequence[Given]) -> tuple[list[Found], list[str]]:
    """What is given of one problem as statements of one source, and the logic forms that cannot be said, with why."""
    found, unknown = [], []
    for one in given:
        try:
            text, kind = said(one.text) if one.kind == "logic_form" else (" ".join(one.text.split()), type_of(one.text))
        except UnknownForm as reason:
            unknown.append(f"unknown logic form: {reason}")
            continue
        found.append(Found(one.problem, f"{one.problem}/{one.kind}", text, kind))
    return found, unknown
