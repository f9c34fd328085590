"""Reads and writes numbered seats: all seats, the free ones, and the ticket of each taken seat."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Integer, Select, and_, bindparam, delete, func, select, update

from countermand.actions.slices import in_slices
from countermand.actions.ticketing.seat_ports import SeatTaken
from countermand.domain.orders.order import OrderId
from countermand.domain.ticketing.seating import Seat, SeatBlock
from countermand.storage.sql_types import Row
from countermand.storage.statement_runner import StatementRunner
from countermand.storage.tables.catalogue import seats
from countermand.storage.tables.tickets import tickets

_HAS_IT: Final = and_(
    tickets.c.order_id == seats.c.order_id, tickets.c.number == seats.c.ticket_number, tickets.c.valid
)
_STRETCH: Final = (seats.c.product_uid, seats.c.stretch, seats.c.section, seats.c.row)

_LAST: Final = bindparam("last_seat", type_=Integer)
_FIRST: Final = select(bindparam("first_seat", type_=Integer).label("number")).cte("numbers", recursive=True)
_NUMBERS: Final = _FIRST.union_all(select(_FIRST.c.number + 1).where(_FIRST.c.number < _LAST))


class SeatRows(StatementRunner):
    """Implements the protocols of `actions/ticketing/seat_ports.py`."""

    async def seat_plans(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """See `SeatPlans.seat_plans`."""
        first, last = func.min(seats.c.number).label("first"), func.max(seats.c.number).label("last")
        found = select(*_STRETCH, first, last).where(seats.c.product_uid.in_(product_uids)).group_by(*_STRETCH)
        return await _by_product(await self.rows(found.order_by(seats.c.product_uid, seats.c.stretch)))

    async def free_seats(self, product_uids: Sequence[str]) -> Mapping[str, Sequence[SeatBlock]]:
        """See `FreeSeats.free_seats`. One statement sees each seat and its ticket as of the same instant."""
        return await _by_product(await self.rows(_gaps(product_uids)))

    async def held_seats(self, product_uid: str) -> Sequence[SeatTaken]:
        """See `SeatPlanWriting.held_seats`."""
        found = select(seats).select_from(seats.join(tickets, _HAS_IT)).where(seats.c.product_uid == product_uid)
        return [
            SeatTaken(
                product_uid=product_uid,
                seat=Seat(section=row["section"], row=row["row"], number=row["number"]),
                order_id=OrderId(row["order_id"]),
                ticket_number=row["ticket_number"],
            )
            for row in await self.rows(found)
        ]

    async def put_seats(self, product_uid: str, plan: Sequence[SeatBlock]) -> None:
        """See `SeatPlanWriting.put_seats`. The database counts the seats of a block, so few rows travel."""
        has_ticket = select(1).select_from(tickets).where(_HAS_IT).correlate(seats).exists()
        await self._execute(delete(seats).where(seats.c.product_uid == product_uid, ~has_ticket))
        if not plan:
            return
        named = {
            name: bindparam(name, type_=seats.c[name].type) for name in ("product_uid", "section", "row", "stretch")
        }
        counted = select(*(named[name] for name in named), _NUMBERS.c.number).where(_NUMBERS.c.number <= _LAST)
        put = self._insert(seats).from_select([*named, "number"], counted)
        await self._execute(
            put.on_conflict_do_update(index_elements=seats.primary_key, set_={"stretch": put.excluded.stretch}),
            [
                {
                    "product_uid": product_uid,
                    "section": block.section,
                    "row": block.row,
                    "stretch": place,
                    "first_seat": block.first,
                    "last_seat": block.last,
                }
                for place, block in enumerate(plan)
            ],
        )

    async def take_seats(self, taken: Sequence[SeatTaken]) -> None:
        """See `SeatAssignment.take_seats`."""
        if not taken:
            return
        of_seat = (seats.c.product_uid, seats.c.section, seats.c.row, seats.c.number)
        await self._execute(
            update(seats)
            .where(*(column == bindparam(f"of_{column.name}") for column in of_seat))
            .values(order_id=bindparam("to_order"), ticket_number=bindparam("to_ticket")),
            [
                {
                    "of_product_uid": one.product_uid,
                    "of_section": one.seat.section,
                    "of_row": one.seat.row,
                    "of_number": one.seat.number,
                    "to_order": one.order_id,
                    "to_ticket": one.ticket_number,
                }
                for one in taken
            ],
        )


def _gaps(product_uids: Sequence[str]) -> Select[tuple[str, int, str, str, int, int]]:
    """Select each run of free neighbouring seats as one row.

    In a run, the seat number and the seat's place among the free seats rise together, so their difference is constant.
    """
    place = func.row_number().over(partition_by=_STRETCH[:2], order_by=seats.c.number)
    free = (
        select(*_STRETCH, seats.c.number, (seats.c.number - place).label("gap"))
        .select_from(seats.outerjoin(tickets, _HAS_IT))
        .where(seats.c.product_uid.in_(product_uids), tickets.c.order_id.is_(None))
        .subquery("free")
    )
    stretch = (free.c.product_uid, free.c.stretch, free.c.section, free.c.row)
    first, last = func.min(free.c.number).label("first"), func.max(free.c.number).label("last")
    return (
        select(*stretch, first, last).group_by(*stretch, free.c.gap).order_by(free.c.product_uid, free.c.stretch, first)
    )


async def _by_product(rows: Iterable[Row]) -> Mapping[str, Sequence[SeatBlock]]:
    found: dict[str, list[SeatBlock]] = defaultdict(list)
    async for row in in_slices(rows):
        stretch = SeatBlock(section=row["section"], row=row["row"], first=row["first"], last=row["last"])
        found[row["product_uid"]].append(stretch)
    return found
