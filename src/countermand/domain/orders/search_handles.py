"""The handles of an order: the texts under which people find it.

A handle begins with `=` if the whole of it must be known (a number, an address, a code), and with `~` if it is a word
of a name, whose beginning is enough. Case, accents and spaces around a text do not matter: `normalised` leaves them out
of what is stored, and of what is asked for.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, UnsetType

from countermand.domain.orders.order import OrderId, OrderUid
from countermand.domain.orders.order_details import OrderDetails, ServiceOrderDetails, TicketOrderDetails
from countermand.domain.privacy import MARKER
from countermand.domain.ticketing.consumer import Consumer

EXACT: Final = "="
WORD: Final = "~"
_LONGEST: Final = 200  # characters of a handle's text; an index row has room for them in any script
# Letters that Unicode does not take apart, and that people without such a keyboard write otherwise.
_PLAIN: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"})
_APOSTROPHES: Final = re.compile("['\u2018\u2019\u02bc\u00b4`]")
_NO_LETTERS: Final = re.compile(r"[\W_]+")
_NO_DIGITS: Final = re.compile(r"[^0-9]+")
_PHONE: Final = re.compile(r"[+(]?[0-9][0-9\s()/.-]*")
_SHORTEST_PHONE: Final = 6
# The digits of a phone number that are the same with and without the prefix of its country.
_LOCAL_DIGITS: Final = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Findable:
    """All that an order is found by. `number` is that of a service order; a ticket order has a `uid`."""

    number: OrderId | None = None
    uid: OrderUid | None = None
    reference: str
    details: OrderDetails
    tickets: tuple[tuple[str, str], ...] = ()  # the uid and the code of each
    appointments: tuple[int, ...] = ()
    payments: tuple[str, ...] = ()  # references


def normalised(text: str) -> str:
    """Return a text in lower case, without accents, and with single spaces."""
    text = text.replace("\0", "")  # no database has this character in a text
    if text.isascii():
        return " ".join(text.lower().split())
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return " ".join(plain.translate(_PLAIN).split())


def exact_handle(text: str) -> str:
    """Return the handle of something that people know as a whole."""
    return EXACT + normalised(text)[:_LONGEST]


def words_of(name: str) -> list[str]:
    """Return the words of a name, normalised. An apostrophe joins, all other signs separate: o'brien is obrien."""
    joined = _APOSTROPHES.sub("", normalised(_APOSTROPHES.sub("'", name)))
    return [word[:_LONGEST] for word in _NO_LETTERS.split(joined) if word]


def _name_handles(name: str) -> set[str]:
    """Return the handles of a name: its words, and also the parts of a word with an apostrophe."""
    return {WORD + word for spelled in (name, _APOSTROPHES.sub(" ", name)) for word in words_of(spelled)}


def phone_handles(text: str) -> list[str]:
    """Return the handles of a phone number: its digits, and the last ones, which no country's prefix changes.

    Return no handle for a text that is no phone number.
    """
    digits = _NO_DIGITS.sub("", text)
    if not _PHONE.fullmatch(text.strip()) or len(digits) < _SHORTEST_PHONE:
        return []
    return [EXACT + part for part in dict.fromkeys((digits[:_LONGEST], digits[-_LOCAL_DIGITS:]))]


def handles_of(order: Findable) -> frozenset[str]:
    """Return all handles of an order."""
    known = [order.reference, order.uid or "", "" if order.number is None else str(order.number), *order.payments]
    known += [name for ticket in order.tickets for name in ticket]
    known += [str(appointment) for appointment in order.appointments]
    found = {exact_handle(text) for text in known}
    match order.details:
        case ServiceOrderDetails() as details:
            found |= _of_service(details)
        case TicketOrderDetails() as details:
            found |= _of_tickets(details)
    return frozenset(found - {EXACT, WORD})


def _of_service(details: ServiceOrderDetails) -> set[str]:
    known = details.customer_reference, details.remote_order_id, details.quote_name, details.contact_email
    phones = details.contact_phone, details.ntd_phone_number
    names = details.contact_name, details.ntd_name, details.ntd_business_name
    found = {exact_handle(text) for text in _told(*known)}
    found |= {handle for text in _told(*phones) for handle in phone_handles(text)}
    return found.union(*(_name_handles(name) for name in _told(*names)))


def _of_tickets(details: TicketOrderDetails) -> set[str]:
    found = {exact_handle(text) for text in _told(details.external_reference)}
    for person in _people(details):
        found |= _of_person(person)
    return found


def _told(*texts: str | UnsetType | None) -> list[str]:
    """Return the texts that an order still has. Nobody finds forgotten people by what stands in their place."""
    return [text for text in texts if text and text != MARKER]


def _people(details: TicketOrderDetails) -> Iterator[Consumer]:
    """Yield the consumer of an order, and the holder of each ticket."""
    if details.consumer is not None:
        yield details.consumer
    if details.ticket_consumers is not UNSET:
        yield from details.ticket_consumers.values()


def _of_person(person: Consumer) -> set[str]:
    found = {exact_handle(text) for text in _told(person.email)}
    found |= {handle for text in _told(person.phone_number) for handle in phone_handles(text)}
    return found.union(*(_name_handles(name) for name in _told(person.first_name, person.last_name)))


def name_in(details: OrderDetails) -> str | None:
    """Return the name of an order's customer as the order has it, or None."""
    match details:
        case ServiceOrderDetails():
            return details.contact_name
        case TicketOrderDetails(consumer=Consumer() as person):
            return " ".join(name for name in (person.first_name or "", person.last_name or "") if name) or None
        case _:
            return None
