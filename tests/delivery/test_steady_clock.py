"""The relay's clock is the database's, read seldom: it never goes back, and forgets a slow reading."""

from datetime import UTC, datetime, timedelta

import pytest

from countermand.delivery import steady_clock
from countermand.delivery.steady_clock import SteadyClock

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Clocks:
    """The database's clock and this machine's."""

    def __init__(self) -> None:
        self.there, self.here_s = START, 50.0
        self.readings, self.takes_s = 0, 0.0

    def pass_(self, seconds: float) -> None:
        self.there += timedelta(seconds=seconds)
        self.here_s += seconds

    async def read(self) -> datetime:
        self.readings += 1
        self.pass_(self.takes_s)
        return self.there


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(steady_clock.time, "monotonic", lambda: made.here_s)
    return made


async def test_between_readings_it_goes_on_by_this_machine_and_is_right(clocks: Clocks):
    now = SteadyClock(clocks.read)
    for _ in range(10):
        assert await now() == clocks.there
        clocks.pass_(0.04)
    assert clocks.readings == 1

    clocks.pass_(0.2)

    assert await now() == clocks.there
    assert clocks.readings == 2


async def test_a_slow_reading_is_used_once(clocks: Clocks):
    now = SteadyClock(clocks.read)
    clocks.takes_s = 0.1
    assert await now() == clocks.there
    clocks.takes_s = 0.09
    assert await now() == clocks.there
    await now()

    assert clocks.readings == 2


async def test_it_waits_for_a_database_that_is_a_little_behind_and_follows_one_that_was_set_back(clocks: Clocks):
    now = SteadyClock(clocks.read)
    await now()
    clocks.pass_(0.49)
    latest = await now()

    clocks.there -= timedelta(milliseconds=100)
    clocks.pass_(0.01)
    assert await now() == latest
    clocks.there -= timedelta(hours=1)
    clocks.pass_(0.5)

    assert await now() == clocks.there < latest
