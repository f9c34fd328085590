"""Reads what somebody types to find an order: a number, an id, an address of ours, or words."""

import re
from dataclasses import dataclass
from typing import Final

from countermand.actions.errors import FieldsError
from countermand.actions.ordering.search_ports import Term
from countermand.domain.orders.order import UID_PATTERN, Order, OrderId, OrderUid, order_id_from, order_id_of
from countermand.domain.orders.search_handles import EXACT, exact_handle, normalised, phone_handles, words_of

LONGEST_QUESTION: Final = 300
_MOST_WORDS: Final = 8
_SHORTEST_WORD: Final = 2
_NAMED: Final = re.compile(rf"(?:(?P<contract>[a-z][a-z0-9_]{{0,15}})-)?(?P<name>[1-9][0-9]{{0,18}}|{UID_PATTERN})")
# An address of ours that names an order. The token of an e-tickets page begins with the order's uid.
_IN_PATH: Final = re.compile(r"(?:^|/)(?:orders|payments)/(?P<name>[^/?#\s]+)")
_UID_IN_ADDRESS: Final = re.compile(rf"(?<![0-9a-zA-Z]){UID_PATTERN}")
_TICKET: Final = re.compile(rf"(?:^|/)tickets/(?P<uid>{UID_PATTERN})(?![0-9a-z])")
_NUMBER: Final = re.compile(r"(?:order|no\.?|nr\.?)?\s*#?\s*(?P<digits>[0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderName:
    """What an id says about its order: the number, or the uid, and perhaps the contract."""

    order_id: OrderId
    uid: OrderUid | None
    contract: str | None = None

    def names(self, order: Order) -> bool:
        """Return whether the id means this order, which has its number."""
        return order.uid == self.uid and self.contract in {None, order.contract}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question as the search needs it.

    `name` is the order that the question may name. With `only_name`, nothing else is asked for. `key` is the text to
    look for among references and codes as it stands. `whole` has the handles that answer the whole question, `terms`
    its words.
    """

    name: OrderName | None = None
    only_name: bool = False
    key: str = ""
    whole: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()

    @property
    def is_id(self) -> bool:
        """Whether the question is an id with its contract: if there is such an order, nothing else is meant."""
        return self.name is not None and self.name.contract is not None

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are long enough to look for names that begin with them; none if a term cannot be a name."""
        if not all(term.words for term in self.terms):
            return ()
        return tuple(dict.fromkeys(word for term in self.terms for word in term.words if len(word) >= _SHORTEST_WORD))


def question_from(text: str) -> Question:
    """Read a question. Raises `FieldsError` for one that is too short or too long to answer."""
    given = text.replace("\0", "").strip()  # no database has this character in a text
    if len(given) > LONGEST_QUESTION:
        raise FieldsError([("q", f"q must have at most {LONGEST_QUESTION} characters, not {len(given)}")])
    ticket = _TICKET.search(given)
    if ticket is not None:
        return Question(key=ticket["uid"], whole=(exact_handle(ticket["uid"]),))
    named = _named_in(given)
    if named is not None:
        return Question(name=named, only_name=True)
    number = _NUMBER.fullmatch(given)
    return _about_words(given) if number is None else _about_number(number["digits"])


def _named_in(given: str) -> OrderName | None:
    """Return the order that an address names, or None for a text that is no such address."""
    path = _IN_PATH.search(given)
    match = _NAMED.fullmatch(path["name"]) if path else None
    if match is not None:
        return _name_of(match["name"], match["contract"])
    uid = _UID_IN_ADDRESS.search(given) if "/" in given and " " not in given else None
    return None if uid is None else _name_of(uid[0])


def _name_of(name: str, contract: str | None = None) -> OrderName | None:
    if re.fullmatch(UID_PATTERN, name):
        return OrderName(order_id=order_id_of(OrderUid(name)), uid=OrderUid(name), contract=contract)
    number = order_id_from(name)
    return None if number is None else OrderName(order_id=number, uid=None, contract=contract)


def _about_number(digits: str) -> Question:
    handle = exact_handle(digits)
    whole = dict.fromkeys((handle, *phone_handles(digits)))
    return Question(name=_name_of(digits), key=digits, whole=tuple(whole), terms=(Term(exact=handle, words=(digits,)),))


def _about_words(given: str) -> Question:
    plain = normalised(given)
    texts = plain.split()
    words_in = {one: [] if "@" in one else words_of(one) for one in texts}
    long_enough = any(len(word) >= _SHORTEST_WORD for words in words_in.values() for word in words)
    number = sum(max(1, len(words_in[one])) for one in texts)
    if number > _MOST_WORDS and len(texts) == 1:
        words_in.clear()  # a reference or a code of many parts: no name has so many words
    elif number > _MOST_WORDS:
        said = f"q must have at most {_MOST_WORDS} words, not {number}; ask again with fewer of them"
        raise FieldsError([("q", said)])
    terms = tuple(Term(exact=EXACT + one, words=tuple(words_in.get(one, ()))) for one in texts)
    if not long_enough and not any(character.isdigit() or character == "@" for character in plain):
        raise FieldsError([("q", f"q must have a word of {_SHORTEST_WORD} characters or more, not {given!r}")])
    named = _NAMED.fullmatch(plain)  # an id, a uid, or a reference that looks like an id
    return Question(
        name=None if named is None else _name_of(named["name"], named["contract"]),
        key=given,
        whole=tuple(dict.fromkeys((exact_handle(given), *phone_handles(given)))),
        terms=terms,
    )
