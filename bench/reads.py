"""Measures what callers read: an order over either contract, a list of 500 orders, a bill, and free slots.

`--against <folder>` measures another checkout in turns with this one, on the same database:

    git worktree add /tmp/before <commit>
    python bench/reads.py --against /tmp/before
"""

import sys
from typing import Final

from beside import Ask, Measure, Place, measured, options, places, table, write
from sample import CONNECT_CLIENTS, KINDS, SHOPPING_CLIENTS, WITH_TICKETS, owner_of, uid_of

ORDERS: Final = 90_000  # of fifty shops, so that each has more than a page of 500
CONNECT_ORDERS: Final = "/api/connect/orders"
VERSION: Final = {"X-API-VERSION": "7"}
_SOME: Final = 2000


def main() -> int:
    """Measure, and print a table for each database."""
    given = options(__doc__ or "", ORDERS).parse_args()
    found = {}
    with places(given) as made:
        for name, place in made.items():
            found[name] = measured(place, measures(place), given)
            print(f"\n{name}\n\n{table(found[name])}", flush=True)
    if given.write:
        write("reads", found)
    return 0


def authorizations(place: Place) -> list[str]:
    """Return the header of each client, in order."""
    return place.credentials.headers.read_text().splitlines()


def measures(place: Place) -> list[Measure]:
    """Return what is measured, on a database of these orders."""
    headers, last = authorizations(place), place.sample.orders
    chosen = range(1, last, last // _SOME // KINDS * KINDS + 1)  # each kind has its turn

    def connect(_: str) -> list[Ask]:
        return [
            Ask(method="GET", path=f"{CONNECT_ORDERS}/{n}", authorization=headers[owner_of(n) - 1], headers=VERSION)
            for n in chosen
            if n % KINDS != WITH_TICKETS
        ]

    def shopping(_: str) -> list[Ask]:
        return [
            Ask(method="GET", path=f"/orders/{uid_of(n)}", authorization=headers[owner_of(n) - 1])
            for n in chosen
            if n % KINDS == WITH_TICKETS
        ]

    def listed(_: str) -> list[Ask]:
        shops = headers[CONNECT_CLIENTS : CONNECT_CLIENTS + SHOPPING_CLIENTS]
        return [Ask(method="GET", path="/orders", authorization=shop) for shop in shops]

    return [
        Measure(name="connect: an order", requests=connect),
        Measure(name="shopping: an order", requests=shopping),
        Measure(name="shopping: 500 orders", requests=listed, connections=1),
    ]


if __name__ == "__main__":
    sys.exit(main())
