"""Which seats an order gets: free ones, side by side where that is asked, and where long gaps stay whole."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermand.domain.ticketing.seating import Seat, SeatBlock, choose_seats

HALLS = st.lists(st.integers(0, 8), max_size=6)  # how many seats each stretch of it has
COUNTS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def hall(lengths):
    """One stretch a row, from row 0 on; what has no seat is left out."""
    return [SeatBlock(section="S", row=str(row), first=1, last=last) for row, last in enumerate(lengths) if last]


@st.composite
def gaps(draw):
    """What is free of a hall of which anything is taken, as the database tells it: the longest runs, by row."""
    free = []
    for stretch in hall(draw(HALLS)):
        taken = draw(st.sets(st.sampled_from(stretch.seats())))
        numbers = [seat.number for seat in stretch.seats() if seat not in taken]
        for _, run in groupby(enumerate(numbers), key=lambda one: one[1] - one[0]):
            run_of = [number for _, number in run]
            free.append(SeatBlock(section="S", row=stretch.row, first=run_of[0], last=run_of[-1]))
    return free


def are_side_by_side(seats):
    numbers = sorted(seat.number for seat in seats)
    return len({(seat.section, seat.row) for seat in seats}) == 1 and numbers[-1] - numbers[0] == len(numbers) - 1


@given(gaps(), COUNTS, st.booleans())
def test_chosen_seats_are_free_nobody_elses_and_side_by_side_where_that_is_asked(free, counts, together):
    chosen = choose_seats(free, counts, together=together)
    if chosen is None:
        return
    assert [len(seats) for seats in chosen] == counts
    every = [seat for seats in chosen for seat in seats]
    assert len(set(every)) == len(every)
    assert set(every) <= {seat for gap in free for seat in gap.seats()}
    if together:
        assert all(are_side_by_side(seats) for seats in chosen)


@given(gaps(), st.integers(1, 8))
def test_one_count_is_seated_together_exactly_where_some_gap_holds_it(free, count):
    chosen = choose_seats(free, [count], together=True)
    holding = [gap for gap in free if len(gap) >= count]
    if not holding:
        assert chosen is None
        return
    assert chosen is not None
    smallest = min(len(gap) for gap in holding)
    (best, *_) = [gap for gap in holding if len(gap) == smallest]
    assert chosen == [best.seats()[:count]]


@given(gaps(), COUNTS)
def test_without_that_anything_is_seated_that_there_are_seats_for_and_together_if_it_can_be(free, counts):
    chosen = choose_seats(free, counts, together=False)
    assert (chosen is not None) == (sum(len(gap) for gap in free) >= sum(counts))
    if len(counts) == 1 and any(len(gap) >= counts[0] for gap in free):
        assert chosen is not None
        assert are_side_by_side(chosen[0])


@pytest.mark.parametrize(
    ("lengths", "counts", "rows"),
    [
        ([4, 2, 3], [2], ["1"]),  # the gap that is left whole is the longer one
        ([4, 2, 2], [2], ["1"]),  # of two alike the better one
        ([4, 2, 3], [2, 3], ["1", "2"]),
        ([3, 2], [2, 3], ["1", "0"]),  # the greatest is seated first, whatever comes first
        ([2, 2], [2, 2], ["0", "1"]),
    ],
)
def test_seats_are_in_the_smallest_gap_that_holds_them(lengths, counts, rows):
    chosen = choose_seats(hall(lengths), counts, together=True)
    assert chosen is not None
    assert [seats[0].row for seats in chosen] == rows
    assert all(seats[0].number == 1 for seats in chosen)


def test_scattered_seats_are_as_few_groups_as_there_can_be():
    chosen = choose_seats(hall([1, 3, 2, 1]), [5], together=False)
    assert chosen is not None
    assert [(seat.row, seat.number) for seat in chosen[0]] == [("1", 1), ("1", 2), ("1", 3), ("2", 1), ("2", 2)]
    assert chosen[0][0] == Seat(section="S", row="1", number=1)
