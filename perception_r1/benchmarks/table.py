"""Benchmarks: one file and one line of this table each."""

from collections.abc import Mapping

from perception_r1.benchmarks import (
    dynamath,
    emma,
    emma_mini,
    geometry3k,
    hallusionbench,
    logicvista,
    mathverse,
    mathvision,
    mathvista,
    mmmu,
    mmmu_pro_standard_4,
    mmmu_pro_standard_10,
    mmmu_pro_vision,
    mmstar,
    text_only,
    visfactor,
    wemath,
    world,
)
from perception_r1.benchmarks.item import Benchmark

BENCHMARKS: Mapping[str, Benchmark] = {
    "dynamath": dynamath,
    "emma": emma,
    "emma_mini": emma_mini,
    "geometry3k": geometry3k,
    "hallusionbench": hallusionbench,
    "logicvista": logicvista,
    "mathverse": mathverse,
    "mathvision": mathvision,
    "mathvista": mathvista,
    "mmmu": mmmu,
    "mmmu_pro_standard_10": mmmu_pro_standard_10,
    "mmmu_pro_standard_4": mmmu_pro_standard_4,
    "mmmu_pro_vision": mmmu_pro_vision,
    "mmstar": mmstar,
    "text_only": text_only,
    "visfactor": visfactor,
    "wemath": wemath,
    "world": world,
}
