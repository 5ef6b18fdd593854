"""What a run ran on. Owns the one line about it that goes with every figure."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def machine() -> str:
    """Cores, processor, memory and kernel."""
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
    cores = os.cpu_count()
    return (
        f"{cores} cores of {_processor()}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
