"""Work side by side: what fails is said at once, what runs is finished, what waits is not begun."""

import threading
import time
from collections import deque
from pathlib import Path

import pytest

from perception_r1.config import load
from perception_r1.errors import GateFailed
from storage import open_store
from tasks.job import Job
from tasks.orchestration import crew, failure_page
from tasks.pages import shown


def test_one_failure_ends_what_waits_and_keeps_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    begun, done = threading.Event(), list[str]()

    def fails() -> None:
        begun.wait(60)
        raise ValueError("arm A diverged\nits log")

    def long() -> None:
        begun.set()
        while not capsys.readouterr().err:  # said while this one is still under way
            time.sleep(0.01)
        done.append("B")

    with pytest.raises(ValueError, match="arm A diverged"), crew(2) as submit:
        deque(map(submit, (fails, long, lambda: done.append("C"))))
    assert done == ["B"]


def test_what_is_said_of_a_failure_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise ValueError("arm A diverged\nits log")

    with pytest.raises(ValueError, match="arm A diverged"), crew(1) as submit:
        submit(fails)
    assert capsys.readouterr().err == "arm A diverged; what is under way is finished first\n"


def test_what_waits_for_a_failure_is_no_failure_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        time.sleep(0.2)
        raise ValueError("the base diverged")

    with pytest.raises(ValueError, match="the base diverged"), crew(3) as submit:
        deque(map(submit, [submit(fails).result] * 2))
    assert capsys.readouterr().err.count("the base diverged") == 1


def test_results_come_back_in_the_order_of_submission() -> None:
    with crew(2) as submit:
        made = [submit(pow, 2, power) for power in range(5)]
    assert [each.result() for each in made] == [1, 2, 4, 8, 16]


def test_the_page_of_a_failed_stage_shows_the_rows_that_it_is_about(tmp_path: Path) -> None:
    job = Job(load(Path("configs/embedded.toml")), open_store(tmp_path), "perception-r1 run")
    rows = [{"problem": f"p{n}", "response": "a | b\nc"} for n in range(12)]
    page = failure_page(job.command, "validate", GateFailed("it credits too much\nthe log").about(rows))
    assert "**Cause**: it credits too much\n\n| problem | response |\n| --- | --- |\n| p0 | a \\| b c |\n" in page
    assert "| p9 |" in page
    assert "| p10 |" not in page
    assert "and 2 more\n\n```\nthe log\n```\n\n**Go on with**: `perception-r1 run`\n" in page


@pytest.mark.parametrize(
    ("value", "read"),
    [(0.2424940066552408, "0.2425"), (1e-12, "1e-12"), (0.0, "0"), (None, ""), (513, 513), (True, True), ("a", "a")],
)
def test_a_tables_numbers_are_for_people(value: object, read: object) -> None:
    assert shown(value) == read
