"""Processes that share a model: one reads it, all have it, and every setting is there before it is opened."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perception_r1.sections import Lora, Train
from perception_r1.train import __main__ as main
from perception_r1.train import shares
from perception_r1.train.dry_run import _spec_of
from tests.training import warm_base

pytestmark = pytest.mark.timeout(600)  # the first test of a process warms a model up

SHARED = """
import sys
from pathlib import Path
from types import SimpleNamespace
import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch.distributed.device_mesh import init_device_mesh
from perception_r1.models import open_model
from perception_r1.train.shares import shapes

torch.distributed.init_process_group("gloo")
base, first = Path(sys.argv[1]), torch.distributed.get_rank() == 0
whole = open_model(base)
mine = open_model(base) if first else shapes(base)
assert {p.device.type for p in mine.parameters()} == {"cpu" if first else "meta"}
assert mine.generation_config.to_dict() == whole.generation_config.to_dict()
assert mine.config.to_dict() == whole.config.to_dict()
plugin = FullyShardedDataParallelPlugin(
    fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=True
)
mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
accelerator = SimpleNamespace(  # as accelerate's own makes it on GPUs; on a CPU it knows no FSDP
    state=SimpleNamespace(fsdp_plugin=plugin), torch_device_mesh=mesh,
    parallelism_config=SimpleNamespace(fsdp_dim_names=["fsdp"]), mixed_precision="no", is_main_process=first,
    device=torch.device("cpu"),
)
shared = fsdp2_prepare_model(accelerator, mine)
theirs = {name: value.full_tensor() for name, value in shared.state_dict().items()}
assert theirs.keys() == whole.state_dict().keys()
assert all(torch.equal(theirs[name], value) for name, value in whole.state_dict().items())
with torch.no_grad():
    ids = torch.arange(5, 15)[None]
    assert torch.equal(shared(input_ids=ids).logits, whole(input_ids=ids).logits)
print("the same", flush=True)
"""


@pytest.mark.slow
def test_a_process_that_read_no_weights_has_its_share_of_the_first_one_s(tmp_path: Path) -> None:
    """accelerate's own sharing out, over gloo."""
    program = tmp_path / "shared.py"
    program.write_text(SHARED)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*torchrun, str(program), str(warm_base())], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("the same") == 2


@pytest.mark.parametrize(
    ("train", "rank", "given"),
    [
        pytest.param({}, "1", True, id="others"),
        pytest.param({}, "0", False, id="the-first"),
        pytest.param({"launch": "ddp"}, "1", False, id="copies"),
        pytest.param({"launch": "zero3"}, "1", False, id="deepspeed-shares-out-itself"),
        pytest.param({"lora": Lora(rank=8)}, "1", False, id="adapters"),
    ],
)
def test_only_processes_that_are_given_their_share_read_nothing(train: Any, rank: str, given: bool) -> None:
    assert shares.are_given(Train(**{"launch": "fsdp2", "processes": 2, **train}), {"RANK": rank}) is given


def test_the_trainer_s_settings_are_there_before_data_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened before them has the collectives' own time-out instead of the judge's, and no zero.Init."""
    done: list[str] = []

    def opened(*_: Any) -> Any:
        done.append("model")
        raise StopIteration

    monkeypatch.setattr(main, "config", lambda *_: done.append("settings"))
    monkeypatch.setattr(main, "_opened", opened)
    with pytest.raises(StopIteration):
        main._went_on(_spec_of(Train()), tmp_path, None, None)
    assert done == ["settings", "model"]
