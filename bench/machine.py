"""What a table of results was measured on, in one line."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def described() -> str:
    """Date, processor, cores, memory, Python."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {processor}, {os.cpu_count()} cores (shared), {memory:.0f} GiB, "
        f"Python {platform.python_version()}"
    )
