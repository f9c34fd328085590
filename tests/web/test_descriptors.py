"""How many connections a process takes in, where it may not open as many files."""

import subprocess
import sys

import pytest

ASKED = """
import resource, sys
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from countermand.web.http_connections import cap_below_descriptors
print(cap_below_descriptors(wanted, reserved=11), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "cap", "raised_to"),
    [
        (256, 1024, 913, 913, 1024),  # exactly as many as the hard limit allows
        (256, 1024, 914, 913, 1024),
        (256, 1024, 100, 100, 256),  # enough already
        (256, 1024, 200, 200, 311),  # raised as far as is needed
        (64, 64, 10_000, 1, 64),  # never none
    ],
)
def test_the_cap_stays_below_what_the_system_allows(soft: int, hard: int, wanted: int, cap: int, raised_to: int):
    told = subprocess.run(
        [sys.executable, "-c", ASKED, str(soft), str(hard), str(wanted)], check=True, capture_output=True, text=True
    ).stdout
    *lines, last = told.splitlines()
    assert [int(number) for number in last.split()] == [cap, raised_to, hard]
    assert any("fewer connections than set" in line for line in lines) is (cap < wanted)
