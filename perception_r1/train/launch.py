"""Several processes of one run: `python -m perception_r1.train.launch RUN.json` becomes `accelerate launch` of it.

On several machines the same command runs on each, with the same RUN.json and folder (a shared file system), and

    MACHINE_RANK=0 MAIN_PROCESS_IP=10.0.0.1 python -m perception_r1.train.launch RUN.json
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from perception_r1.child import PARENT
from perception_r1.gpus import ORDER, VISIBLE, gpus_here, leased
from perception_r1.sections import Train
from perception_r1.train.spec import RunSpec

CONFIGS = Path(__file__).parent / "accelerate"
PORT = "29500"
BEHIND = "PERCEPTION_R1_SERVER_GPUS"


def main() -> None:
    """Gives this process to the launcher, with a lease of GPUs where no parent has one for it."""
    path = Path(sys.argv[1])
    spec = RunSpec.read(path)
    words = command(spec, path, os.environ)
    if PARENT in os.environ:
        os.execve(words[0], words, os.environ | shared_out(spec.train, list(gpus_here())))
    with leased(gpus_of(spec.train, os.environ.get("MACHINE_RANK", "0")), gpus_here()) as (mine, leases):
        for lease in leases:
            os.set_inheritable(lease, True)
        os.execve(words[0], words, os.environ | shared_out(spec.train, mine) | _ending_together(spec.train))


def _ending_together(train: Train) -> dict[str, str]:
    """What ends the processes with their launcher, which holds the lease."""
    return {PARENT: str(os.getpid())} if train.processes > 1 else {}


def shared_out(train: Train, gpus: Sequence[str]) -> dict[str, str]:
    """Which of the GPUs the trainer sees, and behind them those of a server that it starts.

    A trainer alone that saw two would have its model copied to both by transformers, which TRL refuses.
    """
    if not gpus:
        return {}
    mine = train.processes // train.machines
    return ORDER | {VISIBLE: ",".join(gpus[:mine]), BEHIND: ",".join(gpus[mine : gpus_of(train)])}


def gpus_of(train: Train, machine: str = "0") -> int:
    """How many of a machine's GPUs a run takes: one a process, on the first also those of a vLLM server it starts."""
    server = train.policy_server
    starts = train.generate_with == "vllm_server" and not server.base_url and machine == "0"
    return train.processes // train.machines + (server.tensor_parallel * server.data_parallel if starts else 0)


def command(spec: RunSpec, path: Path, environment: Mapping[str, str]) -> list[str]:
    """The command that starts all of this machine's processes."""
    train = spec.train
    run = ["-m", "perception_r1.train", str(path)]
    if train.processes == 1:
        return [sys.executable, *run]
    words = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(CONFIGS / f"{train.launch}.yaml")),
        *("--num_processes", str(train.processes)),
        *("--mixed_precision", "bf16" if train.bf16 else "no"),
        *("--num_machines", str(train.machines)),
    ]
    if train.machines > 1:
        words += ["--machine_rank", environment.get("MACHINE_RANK", "0")]
        words += ["--main_process_ip", environment.get("MAIN_PROCESS_IP", "127.0.0.1"), "--main_process_port", PORT]
    else:
        words += ["--main_process_port", environment.get("MAIN_PROCESS_PORT", "0")]  # runs side by side share no port
    if train.launch == "zero3":
        micro = train.micro_batch or train.prompts_per_step * train.generations // train.processes
        waits = train.prompts_per_step * train.generations // (micro * train.processes)
        words += ["--gradient_accumulation_steps", str(waits)]
    return [*words, *run]


if __name__ == "__main__":
    main()
