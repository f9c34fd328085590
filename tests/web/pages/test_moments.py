"""Dates as people read them, in a time zone, with the instant for programs."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from countermand.web.pages.moments import day, day_and_time, period

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
EVENING = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


def test_a_day_is_that_of_the_time_zone():
    assert day(EVENING, UTC).text == "21 November 2026"
    assert day(EVENING, AMSTERDAM).text == "22 November 2026"
    assert day(EVENING, AMSTERDAM).instant == "2026-11-21T23:30:00Z"


def test_a_time_names_its_zone_in_summer_and_in_winter():
    assert day_and_time(EVENING, AMSTERDAM).text == "Sunday 22 November 2026, 00:30 CET"
    assert day_and_time(datetime(2026, 7, 1, 10, 0, tzinfo=UTC), AMSTERDAM).text == "Wednesday 1 July 2026, 12:00 CEST"


def test_an_end_within_a_day_is_a_time_alone_and_a_later_end_has_its_date():
    short = [one.text for one in period(EVENING, EVENING + timedelta(hours=23, minutes=59), UTC)]
    long = [one.text for one in period(EVENING, EVENING + timedelta(hours=24), UTC)]
    assert short == ["Saturday 21 November 2026, 23:30", "23:29 UTC"]
    assert long == ["Saturday 21 November 2026, 23:30 UTC", "Sunday 22 November 2026, 23:30 UTC"]


def test_a_night_in_which_the_clocks_change_names_both_zones():
    begins = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    assert [one.text for one in period(begins, begins + timedelta(hours=3), AMSTERDAM)] == [
        "Sunday 25 October 2026, 01:00 CEST",
        "03:00 CET",
    ]


def test_without_an_end_or_with_one_that_is_no_later_there_is_only_the_begin():
    for ends in (None, EVENING, EVENING - timedelta(hours=1)):
        assert [one.text for one in period(EVENING, ends, UTC)] == ["Saturday 21 November 2026, 23:30 UTC"]
