"""Which states can an order be in? Draws `docs/states.md` from the table in the code: `python docs/draw_states.py`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.orders.order_state import (
    CANCELLABLE_STATES,
    ENDED_UNFULFILLED,
    TRANSITIONS,
    OrderState,
    Transition,
)

PAGE = Path(__file__).with_name("states.md")

_TITLES = {OrderKind.SERVICE: "Telecom orders (connect)", OrderKind.TICKET: "Ticket orders (shopping)"}

_OPENING = """# The states of an order

*Drawn from the table `TRANSITIONS` in `src/countermand/domain/orders/order_state.py` by `python docs/draw_states.py`. A
test compares the two, so this page is changed there.*

An order is in one state and changes it by a move. A move that the table does not have cannot happen: it is refused, and
nothing changes. Telecom and ticket orders share the table and nothing else: they meet in `cancelled` alone, so each has
its own diagram. Neither contract publishes its list of states; but for `cancelled`, the words are inferred (see the
[glossary](glossary.md)).

`cancel` in this table means that a cancellation *may* be asked for. Whether it is granted is the policy's business,
which looks at more than the state and may only narrow what stands here, never widen it. The management API does not
take it as a move: it has a call of its own, so that nothing goes around the policy.

`reopen` is no move of the management API, either: it happens when the payment that completed an order is voided and
the other payments do not cover the total.

The undoing of a cancellation stands beside the table: a cancelled order returns to the state that its cancellation
found, which differs from order to order, and only within the time that the settings give
([desk.md](desk.md#undo-a-cancellation)).
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_OPENING]
    for kind in OrderKind:
        parts += [f"## {_TITLES[kind]}", "", *_diagram(kind), ""]
    parts += ["## Every state and every move", "", "A dot: there is no such move.", "", *_table(), ""]
    parts += ["## Where a cancellation may start", "", *_cancellable(), ""]
    parts += ["## What ends unfulfilled", "", *_ends()]
    return "\n".join(parts) + "\n"


def _diagram(kind: OrderKind) -> Iterable[str]:
    states = _reachable(kind.opening_state)
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {kind.opening_state}"
    for state in states:
        for move, after in TRANSITIONS[state].items():
            yield f"    {state} --> {after}: {move}"
        if not TRANSITIONS[state]:
            yield f"    {state} --> [*]"
    yield "```"


def _table() -> Iterable[str]:
    yield _row(["", *(f"`{move}`" for move in Transition)])
    yield _row(["---", *("---" for _ in Transition)])
    for state in OrderState:
        after = (TRANSITIONS[state].get(move) for move in Transition)
        yield _row([f"**`{state}`**", *("·" if to is None else f"`{to}`" for to in after)])


def _cancellable() -> Iterable[str]:
    for kind in OrderKind:
        yield f"- {_TITLES[kind]}: {_words(CANCELLABLE_STATES & set(_reachable(kind.opening_state)))}"
    yield ""
    never = _words(set(OrderState) - CANCELLABLE_STATES)
    yield f"From every other state it is refused, whatever the policy says: {never}."


def _ends() -> Iterable[str]:
    fulfilled = {state for state, moves in TRANSITIONS.items() if not moves} - ENDED_UNFULFILLED
    unfulfilled = _words(ENDED_UNFULFILLED)
    yield f"An order that enters one of these gives back what it held, in the same transaction: {unfulfilled}."
    yield "Its active appointment is cancelled, its tickets become invalid, and their places go back to the products."
    yield "Money that comes in for such an order is kept as late money and revives nothing."
    yield ""
    yield f"The other final state is fulfilled, and gives nothing back: {_words(fulfilled)}."


def _reachable(opening: OrderState) -> Sequence[OrderState]:
    found = [opening]
    for state in found:
        found += [after for after in TRANSITIONS[state].values() if after not in found]
    return found


def _words(states: Iterable[OrderState]) -> str:
    return ", ".join(f"`{state}`" for state in OrderState if state in set(states))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
