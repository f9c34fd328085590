"""Which seats does an order get? Neighbouring seats where required, from the smallest gap that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Seat:
    """A seat, by the names on its ticket."""

    section: str
    row: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatBlock:
    """Neighbouring seats from `first` to `last`: a row, a part of a row up to an aisle, or a gap of free seats.

    A seat plan lists its seat blocks, the best first. Seats of two blocks are never neighbours.
    """

    section: str
    row: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def has(self, seat: Seat) -> bool:
        """Whether the block has this seat."""
        return (seat.section, seat.row) == (self.section, self.row) and self.first <= seat.number <= self.last

    def seats(self) -> Sequence[Seat]:
        """Return the block's seats, by number."""
        return [Seat(section=self.section, row=self.row, number=number) for number in range(self.first, self.last + 1)]


def choose_seats(
    gaps: Sequence[SeatBlock], counts: Sequence[int], *, together: bool
) -> Sequence[Sequence[Seat]] | None:
    """Choose seats from the gaps for each of `counts`; return None if there is no choice. The best gaps come first.

    With `together`, the seats of each count must be neighbours; without it, they are neighbours where possible, and
    otherwise come from the longest gaps. The greatest count is seated first, each in the smallest gap that holds it, so
    that long gaps stay whole; of two gaps of equal length, the better is taken. For a single count the search finds
    seats whenever there are any. For several counts it may refuse an order for which other places would have been
    enough: trying all combinations would take too long.
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
    """Take `count` seats out of the gaps in `left`."""
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
