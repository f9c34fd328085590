"""Finds orders by what a customer knows of them, and lists orders by filters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from countermand.actions.errors import FieldsError
from countermand.actions.ordering.search_ports import (
    OfHandle,
    OfTime,
    OrderFilters,
    OrderSearch,
    OrderSummary,
    Span,
    Term,
)
from countermand.actions.ordering.search_question import Question, question_from
from countermand.actions.ports import Snapshots
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.search_handles import WORD

# The number of handles from which on all count as equally frequent, and as more than are looked at for a page.
_COUNTED: Final = 1000
_DIRECT: Final = ""  # the span of the orders that were found without a handle


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlace:
    """A place in the result of a question: a span, a handle in the span, and an order."""

    span: str
    handle: str
    order_id: OrderId


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdersFound:
    """Some orders. If there may be more, `following` is the place after which the next page begins."""

    items: Sequence[OrderSummary]
    following: SearchPlace | OfTime | None


async def list_all_orders(
    store: Snapshots[OrderSearch], filters: OrderFilters, after: OfTime | None, at_most: int
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
        rest = [one for one in direct if after is None or _rank(one, named) > _rank(after.order_id, named)]
        begins_here = after is None or after.span == _DIRECT
        found, following = await _page(reading, rest if begins_here else [], spans, filters, after, at_most)
        return OrdersFound(items=await _summaries(reading, found), following=following)


async def _page(
    reading: OrderSearch,
    direct: Sequence[OrderId],
    spans: Sequence[Span],
    filters: OrderFilters,
    after: SearchPlace | None,
    at_most: int,
) -> tuple[Sequence[OrderId], SearchPlace | None]:
    found = [SearchPlace(span=_DIRECT, handle="", order_id=one) for one in direct]
    for span in spans:
        if len(found) > at_most:
            break
        begins: OfHandle | None = None
        if after is not None and after.span == span.handle:
            begins = after.handle, after.order_id
        part = await reading.orders_in_span(span, filters, begins, at_most + 1 - len(found))
        found += [SearchPlace(span=span.handle, handle=handle, order_id=one) for handle, one in part.places]
        if part.looked_until is not None and len(found) <= at_most:
            handle, order_id = part.looked_until
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
    found.sort(key=lambda one: _rank(one, named))
    return await reading.orders_that_meet(filters, list(dict.fromkeys(found))) if found else []


def _rank(order_id: OrderId, named: OrderId | None) -> tuple[bool, OrderId]:
    """Return the place of an order among those that need no handle, whether the order is among them or not."""
    return order_id != named, order_id


async def _spans(
    reading: OrderSearch, question: Question, direct: Sequence[OrderId], after: SearchPlace | None
) -> Sequence[Span]:
    """Return what is left of the spans of a question. Raises `FieldsError` for a place that is in none of them."""
    words = [WORD + word for word in question.words]
    handles = list(dict.fromkeys((*question.whole, *(term.exact for term in question.terms), *words)))
    counts = await reading.handle_counts(handles, _COUNTED) if handles else {}
    there = [(handle, terms) for handle, terms in _exact(question) if counts[handle]]
    before = tuple(handle for handle, _ in there)
    spans = [
        Span(
            handle=handle,
            terms=terms,
            before=before[:number],
            shown=tuple(direct),
            is_long=counts[handle] >= _COUNTED,
        )
        for number, (handle, terms) in enumerate(there)
    ]
    if words and all(counts[word] for word in words):
        rarest = after.span if after is not None and after.span in words else _rarest(words, counts)
        spans.append(
            Span(
                handle=rarest,
                is_prefix=True,
                terms=tuple(term for term in question.terms if term.words != (rarest.removeprefix(WORD),)),
                before=before,
                shown=tuple(direct),
                is_long=counts[rarest] >= _COUNTED,
            )
        )
    if after is None or after.span == _DIRECT:
        return spans
    begins = [number for number, span in enumerate(spans) if span.handle == after.span]
    if not begins or not after.handle.startswith(after.span):
        raise FieldsError([("after", "after must be the next of an earlier page of the same question")])
    return spans[begins[0] :]


def _exact(question: Question) -> Iterator[tuple[str, tuple[Term, ...]]]:
    """Yield the handles that answer the question or one of its words, each with the other words."""
    for handle in question.whole:
        yield handle, ()
    for term in question.terms if len(question.terms) > 1 else ():
        if term.exact not in question.whole:
            yield term.exact, tuple(other for other in question.terms if other != term)


def _rarest(words: Sequence[str], counts: Mapping[str, int]) -> str:
    """Return the word that the fewest names begin with; if several are as rare, the longest."""
    return min(words, key=lambda word: (counts[word], -len(word)))


async def _summaries(reading: OrderSearch, order_ids: Sequence[OrderId]) -> Sequence[OrderSummary]:
    found = await reading.summaries(order_ids)
    return [found[order_id] for order_id in order_ids if order_id in found]
