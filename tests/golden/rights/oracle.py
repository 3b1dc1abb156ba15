#!/usr/bin/env python3
"""Due dates by means that share nothing with idgate: writes due.csv beside itself.

Months come from dateutil's relativedelta, holidays from the package `holidays`, days from Python's datetime.

    python -m venv venv && venv/bin/pip install holidays==0.109 python-dateutil==2.9.0.post0
    venv/bin/python tests/golden/rights/oracle.py

Where idgate leaves days out on purpose (see holidays.toml), the oracle leaves them out too, by rule and not by list:
elections that are still to come, and in California the Fridays before a federal holiday on a Saturday, but for
Veterans Day.
"""

from datetime import date, timedelta
from pathlib import Path

import dateutil
import holidays
from dateutil.relativedelta import relativedelta

FIRST, LAST = 2025, 2031
WRITTEN_IN = 2026
DAY = timedelta(days=1)


def listed(country, language):
    """(day, name) of every holiday in the years that idgate lists."""
    years = range(FIRST, LAST + 1)
    return sorted(country(years=years, language=language).items())


def korea():
    return {day for day, name in listed(holidays.KR, "ko") if not ("선거일" in name and day.year > WRITTEN_IN)}


def federal():
    return {day for day, _ in listed(holidays.US, "en_US")}


def california():
    moved = {
        day
        for day, name in listed(holidays.US, "en_US")
        if day.weekday() == 4 and name.endswith("(observed)") and not name.startswith("Veterans")
    }
    return federal() - moved


CLOSED = {"KR": korea(), "US": federal(), "US-CA": california(), "ZZ": set()}
# places without a calendar of their own
CLOSED |= {"KR-11": CLOSED["KR"], "US-NY": CLOSED["US"], "DE": set(), "DE-BY": set()}


def due(start, kind, length, place):
    try:
        if kind == "months":
            return start + relativedelta(months=length)
        if kind == "days":
            return start + timedelta(days=length)
        day = start
        while length > 0:
            day += DAY
            length -= day.weekday() < 5 and day not in CLOSED[place]
        return day
    except (OverflowError, ValueError):
        return date.max


def vectors():
    """(why, start, kind, length, place)"""
    # -- calendar months
    for why, start in [
        ("31 January, common year", "2027-01-31"),
        ("31 January, leap year", "2028-01-31"),
        ("30 January, common year", "2027-01-30"),
        ("30 January, leap year", "2028-01-30"),
        ("29 January, common year", "2027-01-29"),
        ("28 February, common year", "2027-02-28"),
        ("28 February, leap year", "2028-02-28"),
        ("29 February", "2028-02-29"),
        ("31 March", "2027-03-31"),
        ("31 May", "2026-05-31"),
        ("31 August", "2026-08-31"),
        ("30 November, into February", "2026-11-30"),
        ("30 November, into a leap February", "2027-11-30"),
        ("year end", "2026-12-31"),
        ("year end, into a leap year", "2027-12-31"),
        ("a Saturday", "2026-08-15"),
    ]:
        for months in (1, 2, 3):
            yield why, start, "months", months, "ZZ"
    for why, start, months in [
        ("29 February and a year", "2028-02-29", 12),
        ("29 February and four years", "2028-02-29", 48),
        ("28 February and a year, into a leap year", "2027-02-28", 12),
        ("100 is no leap year", "2096-02-29", 48),
        ("400 is a leap year", "1996-02-29", 48),
        ("no span", "2026-07-04", 0),
        ("the longest", "2026-01-31", 255),
    ]:
        yield why, start, "months", months, "ZZ"
    # -- days
    for days in (10, 15, 20, 30, 45, 90):
        for why, start in [
            ("31 January", "2027-01-31"),
            ("over 29 February", "2028-02-15"),
            ("over 28 February", "2027-02-15"),
            ("over the year end", "2026-12-20"),
            ("holidays do not matter", "2026-11-25"),
        ]:
            yield why, start, "days", days, "US-CA" if why.startswith("holidays") else "ZZ"
    # -- business days
    for why, place, start in [
        ("no holiday, from a Monday", "US", "2026-03-02"),
        ("no holiday, from a Friday", "US", "2026-03-06"),
        ("Thanksgiving", "US", "2026-11-20"),
        ("from Thanksgiving itself", "US", "2026-11-26"),
        ("Thanksgiving", "US-CA", "2027-11-19"),
        ("Christmas and New Year", "US", "2026-12-18"),
        ("Christmas and New Year on Saturdays", "US", "2027-12-17"),
        ("Christmas and New Year on Saturdays", "US-CA", "2027-12-17"),
        ("from a Saturday that is Christmas", "US", "2027-12-25"),
        ("Juneteenth on a Friday", "US", "2026-06-12"),
        ("Juneteenth on a Saturday", "US", "2027-06-10"),
        ("Juneteenth on a Saturday", "US-CA", "2027-06-10"),
        ("Independence Day on a Saturday", "US", "2026-06-26"),
        ("Independence Day on a Saturday", "US-CA", "2026-06-26"),
        ("Independence Day on a Sunday", "US-CA", "2027-06-28"),
        ("Veterans Day on a Saturday", "US-CA", "2028-11-03"),
        ("Veterans Day on a Sunday", "US", "2029-11-05"),
        ("Martin Luther King, Jr.", "US", "2028-01-10"),
        ("Washington's Birthday", "US-NY", "2030-02-11"),
        ("Memorial Day", "US-CA", "2031-05-23"),
        ("Labor Day and Columbus Day apart", "US", "2026-09-04"),
        ("Columbus Day", "US-CA", "2026-10-05"),
        ("설날, no substitute", "KR", "2026-02-13"),
        ("설날 on a Sunday, substitute on Tuesday", "KR", "2027-02-05"),
        ("from 설날 itself", "KR", "2027-02-07"),
        ("설날 and 3·1절", "KR", "2030-01-31"),
        ("설날 in January", "KR", "2028-01-25"),
        ("3·1절 on a Saturday", "KR", "2031-02-27"),
        ("노동절 and 어린이날", "KR", "2026-04-29"),
        ("노동절 on a Saturday, 어린이날, 부처님오신날", "KR", "2027-04-29"),
        ("어린이날 and 부처님오신날 on one day", "KR", "2025-05-02"),
        ("현충일 on a Sunday has no substitute", "KR", "2027-06-03"),
        ("제헌절", "KR", "2026-07-10"),
        ("제헌절 was none", "KR", "2025-07-10"),
        ("제헌절 on a Saturday", "KR", "2027-07-12"),
        ("광복절 on a Sunday", "KR-11", "2027-08-10"),
        ("추석 with a Sunday, 개천절 and 한글날", "KR", "2025-10-02"),
        ("추석 with a Saturday, no substitute", "KR", "2026-09-21"),
        ("추석 on 개천절", "KR", "2028-09-29"),
        ("추석 on a Saturday, substitute for the Sunday", "KR", "2029-09-20"),
        ("추석 and 개천절 in a row", "KR", "2031-09-26"),
        ("year end", "KR", "2027-12-24"),
        ("an election that was held", "KR", "2026-06-01"),
        ("an election to come counts as open", "KR", "2028-04-10"),
        ("no calendar: 25 December counts", "DE", "2026-12-21"),
        ("no calendar: 25 December counts", "DE-BY", "2026-12-21"),
        ("place not known", "ZZ", "2026-12-21"),
        ("from a Saturday", "ZZ", "2026-08-01"),
        ("from a Sunday", "ZZ", "2026-08-02"),
        ("before the years of the list", "US", "2024-12-20"),
        ("out of the years of the list", "US", "2031-12-22"),
        ("out of the years of the list", "KR", "2031-12-22"),
    ]:
        for days in (1, 10, 15):
            yield why, start, "business", days, place
    yield "no span, from a Saturday", "2026-08-01", "business", 0, "US"
    yield "a hundred", "2027-01-04", "business", 100, "KR"
    yield "a hundred", "2027-01-04", "business", 100, "US-CA"
    # -- the end of the calendar
    for kind, length in [("months", 1), ("months", 0), ("days", 1), ("days", 30), ("business", 1), ("business", 10)]:
        yield "the last day there is", "9999-12-31", kind, length, "ZZ"
    for kind, length in [("months", 1), ("days", 30), ("days", 31), ("business", 22), ("business", 23), ("business", 24)]:
        yield "its last month", "9999-12-01", kind, length, "US"


def main():
    lines = [
        "# Made by oracle.py in this folder; do not edit. Versions: "
        f"holidays {holidays.__version__}, python-dateutil {dateutil.__version__}.",
        "from,kind,length,place,due,why",
    ]
    for why, start, kind, length, place in vectors():
        end = due(date.fromisoformat(start), kind, length, place)
        lines.append(f'{start},{kind},{length},{place},{end.isoformat()},{why.replace(",", ";")}')
    Path(__file__).with_name("due.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
