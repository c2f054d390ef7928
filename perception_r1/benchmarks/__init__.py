"""Benchmarks: one file and one line of this table each."""

from collections.abc import Mapping

from perception_r1.benchmarks import geometry3k, world
from perception_r1.benchmarks.item import Benchmark

BENCHMARKS: Mapping[str, Benchmark] = {"geometry3k": geometry3k, "world": world}
