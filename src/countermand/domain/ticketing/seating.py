"""Which seats does an order get? Side by side where they must be, in the smallest gap that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Seat:
    """One seat, as its ticket names it."""

    section: str
    row: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatBlock:
    """Seats side by side, from `first` to `last`: a row, a part of it up to an aisle, or a gap, what is free of one.

    A plan of seats is its stretches, the best first; seats of two stretches are never side by side.
    """

    section: str
    row: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def seats(self) -> Sequence[Seat]:
        """Each of them, by number."""
        return [Seat(section=self.section, row=self.row, number=number) for number in range(self.first, self.last + 1)]


def choose_seats(
    gaps: Sequence[SeatBlock], counts: Sequence[int], *, together: bool
) -> Sequence[Sequence[Seat]] | None:
    """For each of `counts` so many seats of the gaps, which stand with the best first; None where that cannot be.

    `together` wants the seats of each count side by side; without it they are so where they can be, and otherwise in
    the longest gaps. The greatest count is seated first, each in the smallest gap that holds it, so that long ones stay
    whole; of two alike, in the better one. For one count that finds seats wherever there are any. Of several, an order
    that other places would have held may be refused: trying them all would take for ever.
    """
    left = list(gaps)
    chosen: dict[int, Sequence[Seat]] = {}
    for index in sorted(range(len(counts)), key=lambda one: -counts[one]):
        seats = _taken(left, counts[index], together=together)
        if seats is None:
            return None
        chosen[index] = seats
    return [chosen[index] for index in range(len(counts))]


def _taken(left: list[SeatBlock], count: int, *, together: bool) -> Sequence[Seat] | None:
    """So many seats, taken out of what is left."""
    seats: list[Seat] = []
    while len(seats) < count:
        wanted = count - len(seats)
        holding = [gap for gap in left if len(gap) >= wanted]
        if not holding and (together or not left):
            return None
        gap = min(holding, key=len) if holding else max(left, key=len)
        seats += gap.seats()[:wanted]
        at = left.index(gap)
        left[at : at + 1] = [replace(gap, first=gap.first + wanted)] if len(gap) > wanted else []
    return seats
