"""The short version of bench/kills.py: real processes, real SIGKILL."""

from pathlib import Path

from bench.kills import STAGES, UNITS, pipeline, storm


def test_nothing_acknowledged_is_lost_or_torn_when_writers_are_killed(tmp_path: Path) -> None:
    seen = storm(tmp_path / "store", kills=25, writers=3, seed=1)
    assert (seen.lost, seen.damaged, seen.left_after_gc) == (0, 0, 0)
    assert seen.acknowledged > 0
    assert seen.leftovers > 0  # the kills did hit writes in the middle


def test_a_killed_pipeline_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    kills = 4
    calm, killed = pipeline(tmp_path, kills=kills, seed=1)
    assert killed.digests == calm.digests
    assert calm.units == UNITS * len(STAGES)
    assert killed.units <= calm.units + kills  # at most the unit under way is done again
