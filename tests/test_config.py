"""A configuration is checked in half a second, and what is wrong with it is said with the remedy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from perception_r1.config import asked, load
from perception_r1.errors import ConfigError
from perception_r1.sections import identity, plain

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
EMBEDDED = CONFIGS / "embedded.toml"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_config_of_the_project_loads(path: Path) -> None:
    assert load(path).name == path.stem


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_an_address_serves_one_model(path: Path) -> None:
    config = load(path)
    served = {(each.base_url, each.model) for each in config.endpoints.values() if each.base_url}
    if config.train.generate_with == "vllm_server":
        served.add(("http://localhost:8000/v1", "the policy"))  # TRL's default address
    assert len({address for address, _ in served}) == len(served)


def test_every_config_declares_its_contrasts_and_compares_arms_of_the_same_problems() -> None:
    for path in CONFIGS.glob("*.toml"):
        assert ("accuracy", "perception_r1") in load(path).compare.contrasts
    arms = "{name='accuracy', recipe='accuracy'}, {name='perception_r1', recipe='accuracy', answer_types=['text']}"
    with pytest.raises(ConfigError, match="train on different problems"):
        load(EMBEDDED, overrides=[f"train.arms=[{arms}]"])


def test_where_a_model_is_served_is_no_part_of_what_it_is() -> None:
    config = load(EMBEDDED)
    moved = load(EMBEDDED, overrides=["endpoints.judge.concurrency=3", "train.at_once=1"])
    assert identity(moved) == identity(config) and moved != config


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_every_profile_loads(profile: str) -> None:
    assert load(EMBEDDED, profile) != load(EMBEDDED)


def test_a_profile_changes_what_it_names_and_nothing_else() -> None:
    whole, quick = load(EMBEDDED), load(EMBEDDED, "quick")
    assert (quick.train.steps, quick.train.learning_rate) == (4, whole.train.learning_rate)
    assert quick.annotate.problems.seed == whole.annotate.problems.seed


@pytest.mark.parametrize(
    ("override", "told"),
    [
        pytest.param("trian.steps=3", "trian is unknown; did you mean train?", id="section"),
        pytest.param("train.stpes=3", "train.stpes is unknown; did you mean steps?", id="field"),
        pytest.param("train.lora.rnk=3", "train.lora.rnk is unknown; did you mean rank?", id="field-of-a-field"),
        pytest.param("endpoints.judge.modle=3", "did you mean model?", id="field-of-a-named-table"),
        pytest.param("train.arms=[{name='x', recipe='accuracy', rcipe=1}]", "did you mean recipe?", id="in-a-list"),
        pytest.param("train.arms=[{name='x', recipe='acuracy'}]", "did you mean accuracy?", id="recipe"),
        pytest.param("evaluate.benchmarks=['wrld']", "did you mean world?", id="benchmark"),
        pytest.param("validate.judge='jugde'", "did you mean judge?", id="endpoint"),
        pytest.param("train.steps='many'", "train.steps = 'many': input should be a valid integer", id="type"),
        pytest.param("train.steps=0", "greater than or equal to 1", id="range"),
        pytest.param("train.arms=[]", "at least one", id="empty"),
        pytest.param("train.seeds=[1,1]", "each once", id="twice"),
        pytest.param("train.arms=[{name='base', recipe='accuracy'}]", "choose another", id="reserved"),
        pytest.param("annotate.budget_usd=5", "no model that is asked has a price", id="free"),
        pytest.param("annotate.min_support=9", "raise annotate.trajectories or lower", id="support"),
        pytest.param("train.micro_batch=5", "use a divisor", id="batch"),
        pytest.param("train={model='Qwen/x', revision='main'}", "may change under 'main'", id="moving"),
        pytest.param("train.generate_with='vllm_server'", "generated from with transformers", id="tiny-on-vllm"),
        pytest.param(
            "train.arms=[{name='x', recipe='accuracy', weights={accuracy=0, format=0, repetition=0}}]",
            "every weight is 0",
            id="nothing-to-learn",
        ),
        pytest.param(
            "train.arms=[{name='x', recipe='accuracy', kl={schedule='linear', low=1, high=0.5}}]",
            "is below kl.low",
            id="kl-upside-down",
        ),
        pytest.param(
            "train={model='/m', at_once=2, generate_with='vllm_server', policy_server={base_url='http://a:8000'}}",
            "one server has the weights of one run; use 1",
            id="one-server-for-two",
        ),
        pytest.param("train.clip_high=0.1", "clip-higher is 0.2 (clip_low) or more", id="clip-higher"),
        pytest.param("train.loss='gspo'", "GSPO's are 3e-4 and 4e-4", id="gspo-never-clips"),
        pytest.param("train.launch='fsdp2'", "of which there is one; use ddp", id="nothing-to-share"),
        pytest.param("train.lora.quantize='4bit'", "set train.lora.rank for adapters", id="quantized"),
        pytest.param("train={lora={rank=8}, freeze=['vision']}", "set train.lora.rank=0", id="frozen-adapters"),
        pytest.param("train.freeze=['vision', 'language']", "hardly anything would be left", id="all-frozen"),
        pytest.param("train={iterations=3, save_every=20}", "a multiple of 3", id="between-generations"),
        pytest.param("train={processes=16, redraws=1, machines=16}", "a multiple of processes", id="groups-across"),
        pytest.param("train={processes=2, machines=3}", "cannot be spread evenly", id="machines"),
        pytest.param("train.seeds=[0, 4294967296]", "4294967296 is too large; a seed is below 2**32", id="seed"),
        pytest.param("train.keep=1", "greater than or equal to 2", id="last-checkpoint"),
        pytest.param("compare.contrasts=[['base', 'acuracy']]", "did you mean accuracy?", id="contrast-of-no-arm"),
        pytest.param("compare.contrasts=[['accuracy', 'base']]", "before training comes first", id="contrast-turned"),
        pytest.param("compare.contrasts=[['accuracy', 'accuracy']]", "is no contrast", id="contrast-with-itself"),
        pytest.param("compare.contrasts=[['base', 'accuracy@non']]", "did you mean none?", id="contrast-not-asked"),
        pytest.param("compare.contrasts=[['accuracy@full', 'accuracy']]", "is no contrast", id="contrast-in-disguise"),
        pytest.param(
            "compare.contrasts=[['accuracy', 'perception_r1'], ['perception_r1@full', 'accuracy']]",
            "['perception_r1', 'accuracy'] is declared twice",
            id="contrast-twice",
        ),
        pytest.param("compare.judged=['wrld']", "'wrld' is not evaluated; did you mean world?", id="judged"),
        pytest.param("compare.labels='no.csv'", "no.csv is no file", id="labels"),
        pytest.param("validate.labels='no.csv'", "validate.labels: no.csv is no file", id="people"),
        pytest.param("evaluate.demonstrations.bank='no.jsonl'", "no.jsonl is no file", id="bank"),
        pytest.param("evaluate.demonstrations.shots=2", "2 shots need a file of examples", id="shots-without-bank"),
        pytest.param("evaluate.data.world.facts='no.jsonl'", "data.world.facts: no.jsonl is no file", id="facts"),
        pytest.param("endpoints.judge.model='embedded/judeg'", "did you mean embedded/judge?", id="embedded-model"),
        pytest.param("report.control='contrl'", "there is no arm 'contrl'", id="control"),
        pytest.param("endpoints.judge.model='gpt'", "needs a base_url", id="no-address"),
        pytest.param("annotate.problems.source='hub'", "annotate.problems.repo: source = 'hub' needs it", id="hub"),
        pytest.param(
            "annotate.problems={source='hub', repo='a/b', revision='main'}",
            "a/b may change under 'main'; name the commit (40 hex digits) that `git ls-remote",
            id="moving-data",
        ),
        pytest.param("name='a b'", "name = 'a b'", id="name"),
        pytest.param("train.seeds=[]", "train.seeds: at least one, each once; got []", id="no-seed"),
        pytest.param("train.steps", "--set expects stage.field=value", id="no-value"),
        pytest.param("train.steps=3\ntrain.save_every=1", "train.steps = '3\\ntrain", id="two-lines"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(override: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(EMBEDDED, overrides=[override])
    assert told in str(error.value)


def test_a_typo_in_a_profile_that_nobody_asked_for_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(EMBEDDED.read_text() + "\n[profiles.mine.train]\nstepz = 3\n")
    with pytest.raises(
        ConfigError, match=r"a\.toml, \[profiles\.mine\]: train\.stepz is unknown; did you mean steps\?"
    ):
        load(path, "quick")


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(EMBEDDED.read_text(), encoding="utf-8-sig")
    assert load(path) == load(EMBEDDED)


def test_an_unknown_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean quick"):
        load(EMBEDDED, "quik")


def test_every_endpoint_of_a_run_is_known_before_it_begins() -> None:
    config = load(EMBEDDED, overrides=["evaluate.judge='judge'", "validate.candidates=[{judge='teacher'}]"])
    assert asked(config, "annotate") == [("annotate.teacher", "teacher"), ("annotate.extractor", "extractor")]
    assert asked(config, "train") == [("validate.judge", "judge"), ("validate.candidates", "teacher")]
    assert asked(config, "evaluate") == [("evaluate.judge", "judge")]
    assert {name for _, name in asked(config)} == {"teacher", "extractor", "judge"}
    assert asked(config, "compare") == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"profiles = 3", "profiles are tables"),
        (b"a = = 1", "is not TOML"),
        (b"\xff", "is not TOML"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        load(path)


def test_how_to_work_is_no_part_of_what_comes_out() -> None:
    one = load(EMBEDDED, overrides=["endpoints.judge.timeout_s=1", "train.at_once=1"])
    other = load(EMBEDDED)
    assert identity(one.endpoints["judge"]) == identity(other.endpoints["judge"])
    assert identity(one.train) == identity(other.train)
    assert identity(load(EMBEDDED, overrides=["train.steps=3"]).train) != identity(other.train)
    assert plain(one.train)["at_once"] == 1


def test_checking_a_config_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from perception_r1.config import load; "
        f"load(Path({str(EMBEDDED)!r})); "
        "print([m for m in ('torch', 'transformers', 'trl', 'prefect', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(
            ["evaluate.benchmarks=['mathvision']"], "no commit of MathLLMs/MathVision is known", id="no-commit"
        ),
        pytest.param(["evaluate.benchmarks=['mathvsta']"], "did you mean mathvista?", id="typo"),
        pytest.param(["evaluate.data.mathvsta={path='x'}"], "did you mean mathvista?", id="typo-in-data"),
        pytest.param(["evaluate.data.mathvista={split='dev'}"], "'dev' is unknown; known: testmini, test", id="split"),
        pytest.param(["evaluate.conditions=['none']"], "the first is 'full'", id="nothing-to-compare-with"),
        pytest.param(["evaluate.data.world.path='x'"], "its items are drawn here, from no data", id="world-of-files"),
        pytest.param(["evaluate.conditions=['full','blnak']"], "blnak", id="unknown-condition"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_trained(said: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        load(CONFIGS / "embedded.toml", overrides=said)
