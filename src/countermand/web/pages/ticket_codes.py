"""Draws the QR codes of tickets beside the event loop: one code takes some milliseconds, and an order has up to 100.

Everybody who knows its address may open the page of an order's tickets, without a credential. So one thread draws the
codes of all pages, a few at a time in turns, and rests between; drawn codes are remembered; and only a few pages are
drawn at once.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from time import perf_counter, sleep
from typing import Final

import segno
from markupsafe import Markup

from countermand.actions.errors import UnavailableError
from countermand.actions.slices import SLICE_S

PAGES_AT_ONCE: Final = 8
_REMEMBERED: Final = 4096  # codes, each of some 1.5 KB
_RETRY_AFTER_S: Final = 2


class TicketCodes:
    """Draws the codes of pages, at most `PAGES_AT_ONCE` pages at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ticket codes")
        self._pages = 0

    async def drawn(self, codes: Sequence[str]) -> Sequence[Markup]:
        """Return each code as an SVG drawing. Raises `UnavailableError` if too many pages are being drawn already."""
        if not codes:
            return []
        if self._pages >= PAGES_AT_ONCE:
            raise UnavailableError("too many pages of tickets are being drawn", retry_after_s=_RETRY_AFTER_S)
        self._pages += 1
        try:
            drawn: list[Markup] = []
            loop = asyncio.get_running_loop()
            while len(drawn) < len(codes):
                drawn += await loop.run_in_executor(self._thread, _some_drawn, codes[len(drawn) :])
            return drawn
        finally:
            self._pages -= 1


def _some_drawn(codes: Sequence[str]) -> Sequence[Markup]:
    """Return the drawings of the first codes: of all, if they are remembered, otherwise of a few milliseconds.

    The thread then rests for as long as it drew, because the event loop cannot run Python code while it draws.
    """
    began_s = perf_counter()
    drawn: list[Markup] = []
    for code in codes:
        drawn.append(code_drawn(code))
        took_s = perf_counter() - began_s
        if took_s >= SLICE_S:
            sleep(took_s)
            break
    return drawn


@lru_cache(maxsize=_REMEMBERED)
def code_drawn(code: str) -> Markup:
    """Return a QR code as an SVG drawing, with a title for people who cannot see it."""
    drawn = segno.make_qr(code, error="m").svg_inline(scale=4, omitsize=True, title=f"QR code {code}", svgclass=None)
    return Markup(drawn)  # noqa: S704 - made here from hexadecimal digits
