"""What was answered is kept, and nothing is done twice, whatever becomes of the server meanwhile."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import pytest

from countermand.domain.orders.order import OrderId
from support.crashes import answered_with, cancel_all, place_orders
from support.processes import Demo, a_demo
from support.races import column, count

HUNDREDS = [10, pytest.param(20, marks=pytest.mark.slow)]  # of orders, to be cancelled
OF_A_HUNDRED = ((95, None), (5, 30), (2, 25))  # orders, and the hours until their visits: those of the last are refused


@dataclass(frozen=True)
class Prepared:
    """A demo's folder, with hundreds of orders that may be cancelled, some of them with a visit; a few may not."""

    folder: Path
    with_visit: int
    cancellable: list[OrderId]
    refused: list[OrderId]

    @property
    def middle(self) -> int:
        """The number of answers after which something happens: early enough for others to be under way."""
        return len(self.cancellable) * 15 // 100


@pytest.fixture(scope="module", params=HUNDREDS, ids="{}00 orders".format)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared") / "demo"
    with a_demo(folder) as demo:
        assert demo.stop() == 0
    plain, with_visit, refused = [
        asyncio.run(place_orders(demo, number * request.param, appointment_in_h=hours))
        for number, hours in OF_A_HUNDRED
    ]
    return Prepared(folder, len(with_visit), [*plain, *with_visit], refused)


async def test_killed_in_the_middle_of_many_cancels_it_loses_no_answer_and_doubles_none(
    tmp_path: Path, prepared: Prepared
):
    folder = copytree(prepared.folder, tmp_path / "demo")
    asked = [*prepared.cancellable, *prepared.refused]
    with a_demo(folder) as demo:
        before = await cancel_all(
            demo, asked, after=prepared.middle, happens=lambda: demo.process.send_signal(signal.SIGKILL)
        )
        assert demo.process.wait(120) == -signal.SIGKILL
    assert None in before.values()
    assert len(answered_with(before, 200)) > prepared.middle * 6 // 7
    assert column(demo.database, "PRAGMA integrity_check") == ["ok"]
    committed = column(demo.database, "SELECT order_id FROM cancellations")
    assert set(answered_with(before, 200)) <= set(committed)
    assert set(answered_with(before, 422)) <= set(column(demo.database, "SELECT order_id FROM refusals"))
    consistent(demo)

    with a_demo(folder) as demo:
        after = await cancel_all(demo, asked)
        assert answered_with(after, 200) == sorted(prepared.cancellable)
        assert answered_with(after, 422) == sorted(prepared.refused)
        assert {order_id: answer for order_id, answer in before.items() if answer is not None}.items() <= after.items()
        assert await cancel_all(demo, asked) == after
        all_done(demo, prepared)
        assert demo.stop() == 0
    assert column(demo.database, "PRAGMA integrity_check") == ["ok"]


async def test_told_to_stop_in_the_middle_of_many_cancels_it_answers_all_it_took(tmp_path: Path, prepared: Prepared):
    folder = copytree(prepared.folder, tmp_path / "demo")
    asked = [*prepared.cancellable, *prepared.refused]
    with a_demo(folder) as demo:
        before = await cancel_all(
            demo, asked, after=prepared.middle, happens=lambda: demo.process.send_signal(signal.SIGTERM)
        )
        assert demo.process.wait(120) == 0
    assert None in before.values()
    ours = "order_id BETWEEN ? AND ?"
    done = column(demo.database, f"SELECT order_id FROM cancellations WHERE {ours}", min(asked), max(asked))
    assert sorted(done) == answered_with(before, 200)
    assert len(done) > prepared.middle * 6 // 7
    assert sorted(column(demo.database, "SELECT order_id FROM refusals")) == answered_with(before, 422)
    assert {answer[0] for answer in before.values() if answer is not None} <= {200, 422, 503}
    consistent(demo)

    with a_demo(folder) as demo:
        await cancel_all(demo, asked)
        all_done(demo, prepared)
    assert column(demo.database, "PRAGMA integrity_check") == ["ok"]


def consistent(demo: Demo) -> None:
    """Nothing is half done: every trace of a cancellation speaks of the same orders."""
    cancelled = sorted(column(demo.database, "SELECT id FROM orders WHERE state = 'cancelled'"))
    assert sorted(column(demo.database, "SELECT order_id FROM cancellations")) == cancelled
    assert sorted(column(demo.database, "SELECT order_id FROM outbox WHERE kind = 'order.cancelled'")) == cancelled
    still_active = """
        SELECT COUNT(*) FROM appointments JOIN orders ON orders.id = order_id
        WHERE appointments.state = 'booked' AND orders.state = 'cancelled'
    """
    assert count(demo.database, still_active) == 0
    released = "SELECT order_id FROM appointments WHERE state = 'cancelled'"
    told = "SELECT order_id FROM outbox WHERE kind = 'appointment.cancelled'"
    assert sorted(column(demo.database, released)) == sorted(column(demo.database, told))
    with_key = "SELECT order_id FROM idempotency_keys WHERE cancelled"
    assert set(column(demo.database, with_key)) <= set(cancelled)


def all_done(demo: Demo, prepared: Prepared) -> None:
    """Every order's cancel has been decided, once."""
    consistent(demo)
    ours = "order_id BETWEEN ? AND ?"
    limits = min(prepared.cancellable), max(prepared.refused)
    done = column(demo.database, f"SELECT order_id FROM cancellations WHERE {ours}", *limits)
    assert sorted(done) == sorted(prepared.cancellable)
    kept = column(demo.database, f"SELECT order_id FROM idempotency_keys WHERE {ours} AND cancelled", *limits)
    assert sorted(kept) == sorted(prepared.cancellable)
    assert sorted(column(demo.database, f"SELECT order_id FROM refusals WHERE {ours}", *limits)) == sorted(
        prepared.refused
    )
    released = f"SELECT COUNT(*) FROM appointments WHERE {ours} AND state = 'cancelled'"
    assert count(demo.database, released, *limits) == prepared.with_visit
