"""Reads the filters that several lists of the operator's API have. A wrong value is noted as an error of the query."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from countermand.contracts.http.query import Query
from countermand.domain.cancelling.rules import CODE_PATTERN
from countermand.domain.client import COMMAND_LINE, LARGEST_CLIENT_ID, ClientId
from countermand.domain.contract import CONTRACT_NAME_PATTERN, ContractName
from countermand.domain.orders.order import order_id_from

State = TypeVar("State", bound=StrEnum)


def contract_asked(query: Query) -> ContractName | None:
    """Return the contract that the orders must be of, or None."""
    given = matching(query, "contract", CONTRACT_NAME_PATTERN, "the name of a contract, like connect")
    return None if given is None else ContractName(given)


def client_asked(query: Query, *, or_command_line: bool = False) -> ClientId | None:
    """Return the id of the client that is asked for, or None. With `or_command_line`, 0 stands for the command line."""
    if or_command_line and query.several("client") == [str(COMMAND_LINE)]:
        return COMMAND_LINE
    number = number_asked(query, "client", LARGEST_CLIENT_ID)
    return None if number is None else ClientId(number)


def code_asked(query: Query, name: str) -> str | None:
    """Return the code of a rule, or None."""
    return matching(query, name, CODE_PATTERN, "the code of a rule, like payment_recorded")


def state_asked(query: Query, name: str, states: Sequence[State]) -> State | None:
    """Return the state that the rows of a list must be in, or None."""
    given = matching(query, name, "|".join(states), f"one of {', '.join(states)}")
    return None if given is None else next(one for one in states if one == given)


def matching(query: Query, name: str, pattern: str, must_be: str) -> str | None:
    """Return a parameter that the whole pattern fits, or None."""
    given = query.one(name)
    if given is None or re.fullmatch(pattern, given):
        return given
    query.wrong(name, must_be, given)
    return None


def number_asked(query: Query, name: str, largest: int) -> int | None:
    """Return a parameter that is a whole number between 1 and `largest`, or None."""
    given = query.one(name)
    number = None if given is None else order_id_from(given)  # the same form: a whole number from 1 up
    if given is None or (number is not None and number <= largest):
        return number
    query.wrong(name, f"a whole number between 1 and {largest}", given)
    return None


def whole_asked(query: Query, name: str, least: int, most: int, otherwise: int) -> int:
    """Return a parameter that is a whole number; `otherwise` if it is not there."""
    given = query.one(name)
    if given is None:
        return otherwise
    if given.isascii() and given.isdigit() and len(given) <= len(str(most)) and least <= int(given) <= most:
        return int(given)
    query.wrong(name, f"a whole number from {least} to {most}", given)
    return otherwise
