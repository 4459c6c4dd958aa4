"""What was freed goes back to the system, however what lives lies between it, and a run sees to it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have no such call")

PROGRAM = """
import numpy as np
from pathlib import Path
from daemon.service.memory import give_back, keep_level

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)

keep_level()
begun = resident()
arrays = [np.ones(100 << 10, np.uint8) for _ in range(2_000)]
arrays = arrays[-1:]
kept = resident() - begun
give_back()
print(kept, resident() - begun)
"""


def test_what_was_freed_below_what_lives_is_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    kept, left = map(float, told.split())
    assert kept > 150
    assert left < 20
