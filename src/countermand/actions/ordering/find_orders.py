"""Finds orders by what a customer knows of them, and lists orders by filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from countermand.actions.errors import FieldsError
from countermand.actions.ordering.search_ports import OfHandle, OrderFilters, OrderSearch, OrderSummary, Span
from countermand.actions.ordering.search_question import Question, question_from
from countermand.actions.ports import Snapshots
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.search_handles import WORD

# The number of a word's handles from which on all words count as equally frequent.
_COUNTED: Final = 3000
_DIRECT: Final = ""  # the span of the orders that were found without a handle


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlace:
    """A place in the result of a question: a span, a handle in the span, and an order."""

    span: str
    handle: str
    order_id: OrderId


TimePlace = tuple[datetime, OrderId]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdersFound:
    """Some orders. If there may be more, `following` is the place after which the next page begins."""

    items: Sequence[OrderSummary]
    following: SearchPlace | TimePlace | None


async def list_all_orders(
    store: Snapshots[OrderSearch], filters: OrderFilters, after: TimePlace | None, at_most: int
) -> OrdersFound:
    """Return the orders of all clients that meet the filters, newest first. A page may be short before the end."""
    async with store.snapshot() as reading:
        found = await reading.orders_by_time(filters, after, at_most + 1)
        page, following = found.places[:at_most], found.looked_until
        if len(found.places) > at_most:
            following = page[-1]
        return OrdersFound(items=await _summaries(reading, [one for _, one in page]), following=following)


async def find_orders(
    store: Snapshots[OrderSearch], text: str, filters: OrderFilters, after: SearchPlace | None, at_most: int
) -> OrdersFound:
    """Return the orders that answer a question and meet the filters. Orders that it names exactly come first.

    Then follow those with a name that begins with each word, in the order of the rarest word. A page may be short
    before the end. Raises `FieldsError` for a question that cannot be answered, and for a place of another question.
    """
    question = question_from(text)
    async with store.snapshot() as reading:
        named = await _named(reading, question)
        direct = await _direct(reading, question, named, filters)
        only_it = question.only_name or (named is not None and question.is_id)
        spans = [] if only_it else await _spans(reading, question, direct, after)
        found, following = await _page(reading, direct, spans, filters, after, at_most)
        return OrdersFound(items=await _summaries(reading, found), following=following)


async def _page(
    reading: OrderSearch,
    direct: Sequence[OrderId],
    spans: Sequence[Span],
    filters: OrderFilters,
    after: SearchPlace | None,
    at_most: int,
) -> tuple[Sequence[OrderId], SearchPlace | None]:
    found: list[SearchPlace] = []
    if after is None or after.span == _DIRECT:
        shown = 0 if after is None or after.order_id not in direct else direct.index(after.order_id) + 1
        found += [SearchPlace(span=_DIRECT, handle="", order_id=one) for one in direct[shown:]]
    for span in spans:
        if len(found) > at_most:
            break
        begins: OfHandle | None = None
        if after is not None and after.span == span.handle:
            begins = after.handle, after.order_id
        stretch = await reading.orders_in_span(span, filters, begins, at_most + 1 - len(found))
        found += [SearchPlace(span=span.handle, handle=handle, order_id=one) for handle, one in stretch.places]
        if stretch.looked_until is not None and len(found) <= at_most:
            handle, order_id = stretch.looked_until
            return [one.order_id for one in found], SearchPlace(span=span.handle, handle=handle, order_id=order_id)
    page = found[:at_most]
    return [one.order_id for one in page], page[-1] if len(found) > at_most else None


async def _named(reading: OrderSearch, question: Question) -> OrderId | None:
    if question.name is None:
        return None
    order = await reading.order(question.name.order_id)
    return order.id if order is not None and question.name.names(order) else None


async def _direct(
    reading: OrderSearch, question: Question, named: OrderId | None, filters: OrderFilters
) -> Sequence[OrderId]:
    """Return the orders that need no handle: so they are found even before an older order has its handles."""
    found = [] if named is None else [named]
    if question.key and not (named is not None and question.is_id):
        number = int(question.key) if question.key.isascii() and question.key.isdigit() else None
        found += await reading.orders_by_other_keys(question.key, number)
    return await reading.orders_that_meet(filters, list(dict.fromkeys(found))) if found else []


async def _spans(
    reading: OrderSearch, question: Question, direct: Sequence[OrderId], after: SearchPlace | None
) -> Sequence[Span]:
    """Return what is left of the spans of a question. Raises `FieldsError` for a place that is in none of them."""
    shown, before, spans = tuple(direct), list[str](), list[Span]()
    for handle in question.whole:
        spans.append(Span(handle=handle, before=tuple(before), shown=shown))
        before.append(handle)
    for term in question.terms if len(question.terms) > 1 else ():
        others = tuple(other for other in question.terms if other != term)
        if term.exact not in before:
            spans.append(Span(handle=term.exact, terms=others, before=tuple(before), shown=shown))
            before.append(term.exact)
    if question.words:
        rarest = await _rarest(reading, question.words, after)
        spans.append(
            Span(handle=WORD + rarest, is_prefix=True, terms=question.terms, before=tuple(before), shown=shown)
        )
    if after is None or after.span == _DIRECT:
        return spans
    begins = [number for number, span in enumerate(spans) if span.handle == after.span]
    if not begins or not after.handle.startswith(after.span):
        raise FieldsError([("after", "after must be the next of an earlier page of the same question")])
    return spans[begins[0] :]


async def _rarest(reading: OrderSearch, words: Sequence[str], after: SearchPlace | None) -> str:
    """Return the word that the fewest names begin with; if several are as rare, the longest. A next page keeps it."""
    for word in words:
        if after is not None and after.span == WORD + word:
            return word
    if len(words) == 1:
        return words[0]
    counts = await reading.word_counts(words, _COUNTED)
    return min(words, key=lambda word: (counts[word], -len(word)))


async def _summaries(reading: OrderSearch, order_ids: Sequence[OrderId]) -> Sequence[OrderSummary]:
    found = await reading.summaries(order_ids)
    return [found[order_id] for order_id in order_ids if order_id in found]
