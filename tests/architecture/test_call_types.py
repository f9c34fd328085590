import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The handlers of the first two calls do not take what their readers give.
CALLS = '''"""Four calls."""

from countermand.contracts.connect import messages
from countermand.contracts.connect.appointments import _READ_APPOINTMENT, _WITHDRAW, _read_appointment, _withdraw
from countermand.contracts.http.calls import Call, ServiceCall, TransactionCall, body_of, no_body

CALLS: tuple[Call, ...] = (
    TransactionCall(operation=_WITHDRAW, body=body_of(messages.SlotWanted), handle=_withdraw),
    TransactionCall(operation=_WITHDRAW, body=no_body, handle=_withdraw),
    TransactionCall(operation=_WITHDRAW, body=body_of(messages.OfferWithdrawn), handle=_withdraw),
    ServiceCall(operation=_READ_APPOINTMENT, body=no_body, handle=_read_appointment),
)
'''


@pytest.mark.slow
def test_mypy_refuses_a_handler_that_does_not_take_the_body_its_call_reads(tmp_path: Path):
    (tmp_path / "calls_made.py").write_text(CALLS)

    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    wrong = [line.rpartition("calls_made.py:")[2].partition(":")[0] for line in ran.stdout.splitlines()[:-1]]
    assert sorted(set(wrong)) == ["8", "9"], ran.stdout
