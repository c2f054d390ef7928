"""Benchmarks: one file and one line of this table each."""

from collections.abc import Mapping
from types import ModuleType

from perception_r1.benchmarks import world

BENCHMARKS: Mapping[str, ModuleType] = {"world": world}
