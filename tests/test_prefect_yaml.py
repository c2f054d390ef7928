"""prefect.yaml: every deployment leads to a flow that exists, and nothing runs by itself until somebody says so."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import pools
from flows.prefect_api import POOLS

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("annotate", "validate", "train", "evaluate", "compare", "report")
PLAN: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = PLAN["deployments"]


def flow_name(deployment: dict[str, Any]) -> str:
    return str(deployment["entrypoint"].partition(":")[2])


def name(deployment: dict[str, Any]) -> str:
    return f"{flow_name(deployment)}/{deployment['name']}"


def schedules() -> dict[str, dict[str, Any]]:
    return {schedule["slug"]: {**schedule, "of": name(d)} for d in DEPLOYMENTS for schedule in d.get("schedules", ())}


def test_every_stage_has_a_deployment_and_so_has_the_whole() -> None:
    assert [name(d) for d in DEPLOYMENTS] == [
        *(f"{stage}/embedded" for stage in STAGES),
        "reproduce/embedded",
        "judge_drift/embedded",
        *(f"{stage}/paper" for stage in STAGES),
        "reproduce/paper",
    ]


def test_the_whole_calls_every_stage_in_its_order() -> None:
    assert pools.STAGES == STAGES


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=name)
def test_an_entrypoint_is_a_flow_that_takes_the_parameters(deployment: dict[str, Any]) -> None:
    file, _, function = deployment["entrypoint"].partition(":")
    tree = ast.parse((ROOT / file).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    assert "flow" in {ast.unparse(decorator) for decorator in found.decorator_list}
    assert deployment["parameters"].keys() == {argument.arg for argument in found.args.args}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=name)
def test_a_configuration_that_is_named_exists(deployment: dict[str, Any]) -> None:
    assert (ROOT / deployment["parameters"]["config"]).is_file()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=name)
def test_only_the_paper_s_training_and_evaluation_need_a_gpu_and_nobody_reports_home(
    deployment: dict[str, Any],
) -> None:
    pool = deployment["work_pool"]
    assert pool["name"] in POOLS
    needs_gpu = deployment["name"] == "paper" and flow_name(deployment) in ("train", "evaluate")
    assert pool["name"] == ("gpu" if needs_gpu else "cpu")
    environment = pool["job_variables"]["env"]
    assert environment.items() >= {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}.items()
    assert all(isinstance(value, str) for value in environment.values()), "environment variables are text"


def test_nothing_runs_by_itself_until_somebody_switches_it_on() -> None:
    found = schedules()
    assert {slug: schedule["of"] for slug, schedule in found.items()} == {
        "judge-drift-canary": "judge_drift/embedded",
        "nightly-re-evaluation": "evaluate/embedded",
        "weekly-full-run": "reproduce/embedded",
    }
    assert [(schedule["active"], schedule["timezone"]) for schedule in found.values()] == [(False, "UTC")] * 3


def test_the_weekly_run_is_the_full_one() -> None:
    assert schedules()["weekly-full-run"]["parameters"] == {"profile": "full"}


def test_runs_work_in_the_folder_that_was_deployed_from() -> None:
    assert PLAN["pull"] == [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $PWD }}"}}]
