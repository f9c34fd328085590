"""The command that prints the lists of the desk: as a table, as JSON, or all rows as CSV or JSON lines."""

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import typer

from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError, named_as_options, option_of
from countermand.cli.option_types import TEXT
from countermand.cli.printing import AsJson, print_json, print_table, said, say
from countermand.cli.queries import ClientFilter, ContractFilter, query_of
from countermand.domain.money import written_minor

if TYPE_CHECKING:
    from countermand.actions.cancelling.explain import PolicyArchive
    from countermand.actions.ordering.desk_lists import RowsWanted
    from countermand.actions.ports import Clock
    from countermand.bootstrap.database import Database
    from countermand.contracts.http.query import Query
    from countermand.contracts.http.store import Store
    from countermand.contracts.manage.desk_lists import Records, ShownPage
    from countermand.domain.cancelling.approval import ApprovalState
    from countermand.domain.orders.payment_correction import RefundState


class ListName(StrEnum):
    """The lists."""

    CANCELLATIONS = "cancellations"
    REFUSALS = "refusals"
    REFUSAL_REASONS = "refusal-reasons"
    LATE_PAYMENTS = "late-payments"
    REFUNDS = "refunds"
    APPROVALS = "approvals"
    PART_PAYMENTS = "part-payments"
    APPOINTMENT_TASKS = "appointment-tasks"


class ListFormat(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"


# What a table shows of a row, and what of it is an amount; the other formats have every field.
_COLUMNS: Final[Mapping[ListName, Sequence[str]]] = {
    ListName.CANCELLATIONS: (
        "order_id",
        "decided_at",
        "overridden",
        "client_id",
        "staff_id",
        "approved_by",
        "channel",
        "reason",
    ),
    ListName.REFUSALS: ("order_id", "decided_at", "codes", "client_id", "staff_id", "channel", "reason"),
    ListName.REFUSAL_REASONS: ("code", "count"),
    ListName.LATE_PAYMENTS: (
        *("order_id", "order_reference", "order_state", "reference", "amount_minor", "left_minor", "currency"),
        "recorded_at",
    ),
    ListName.REFUNDS: ("id", "order_reference", "state", "amount", "currency", "reference", "recorded_at", "reason"),
    ListName.APPROVALS: ("id", "state", "order_id", "override", "due", "staff_id", "until", "ended_by", "reason"),
    ListName.PART_PAYMENTS: (
        *("order_id", "order_reference", "first_payment_at", "total_minor", "paid_minor", "left_minor", "currency"),
    ),
    ListName.APPOINTMENT_TASKS: ("id", "order_id", "kind", "asked_at", "from_date", "slot_id", "starts_at"),
}
_MINOR: Final = "_minor"


class _List(Protocol):
    """A list of the API, whatever its rows are."""

    @property
    def filters(self) -> Sequence[str]: ...

    @property
    def states(self) -> "Sequence[RefundState | ApprovalState]": ...

    async def shown(self, records: "Records", wanted: "RowsWanted") -> "ShownPage": ...

    def all_rows(self, records: "Records", wanted: "RowsWanted", media_type: str) -> AsyncGenerator[bytes, None]: ...


@dataclass(frozen=True, kw_only=True)
class _Records:
    store: "Store"
    archive: "PolicyArchive"
    clock: "Clock"


def _list_name(given: str) -> ListName:
    if given not in set(ListName):
        raise CommandError(f"NAME must be one of {', '.join(ListName)}, not {given!r}")
    return ListName(given)


def list_command(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(ListName)}.", **TEXT | {"metavar": "NAME"})],
    contract: ContractFilter = None,
    client: ClientFilter = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Only from this instant on, like 2026-11-23T01:00:00Z.", **TEXT),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only before this instant.", **TEXT)] = None,
    code: Annotated[
        str | None, typer.Option(help="refusals: only those with this code, like payment_recorded.", **TEXT)
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="refunds: only those that are due, done, failed or withdrawn; approvals: only those that are open, "
            "confirmed, expired, outdated or withdrawn.",
            **TEXT,
        ),
    ] = None,
    after: Annotated[str | None, typer.Option(help="The `next` of the previous page.", **TEXT)] = None,
    as_: Annotated[
        ListFormat | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table and json print a page of up to 100 rows; csv and jsonl print all rows, as they are read.  "
            "[default: table]",
        ),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Print a list of the desk: what was cancelled or refused, what must be paid back or is still to pay, what waits.

    The filters are those of the same list of /manage/v1; an option that the list does not have is refused. --json is
    --format json.
    """
    list_name = _list_name(name)
    if as_json and as_ not in {None, ListFormat.JSON}:
        raise CommandError(f"--json and --format {as_} exclude each other: give one of them")
    wanted_as = ListFormat.JSON if as_json else as_ or ListFormat.TABLE
    query = query_of(
        contract=contract, client=client, until=until, code=code, state=state, after=after, **{"from": from_}
    )
    with named_as_options():
        with_database(read_settings(settings), lambda database: _print_list(database, list_name, query, wanted_as))


async def _print_list(database: "Database", name: ListName, query: "Query", wanted_as: ListFormat) -> None:
    from countermand.actions.cancelling.explain import PolicyArchive
    from countermand.contracts.manage.csv_rows import CSV
    from countermand.contracts.manage.desk_lists import LINES, REASON_FILTERS, reasons_counted, wanted_in

    records = _Records(store=database.store, archive=PolicyArchive(store=database.store), clock=utc_now)
    if name is ListName.REFUSAL_REASONS:
        if wanted_as in {ListFormat.CSV, ListFormat.JSONL}:
            raise CommandError(f"--format {wanted_as}: {name} are counts, not rows; give table or json")
        _refuse_other_options(name, query, REASON_FILTERS)
        counted = await reasons_counted(records, query, utc_now())
        _print_page(name, counted, counted.reasons, None, wanted_as)
        return
    listed = _list(name)
    _refuse_other_options(name, query, listed.filters)
    wanted = wanted_in(query, listed.states)
    if wanted_as in {ListFormat.CSV, ListFormat.JSONL}:
        async for piece in listed.all_rows(records, wanted, CSV if wanted_as is ListFormat.CSV else LINES):
            sys.stdout.write(piece.decode())
            sys.stdout.flush()
        return
    page = await listed.shown(records, wanted)
    _print_page(name, page.message, page.rows, page.following, wanted_as)


def _refuse_other_options(name: ListName, query: "Query", known: Sequence[str]) -> None:
    """Raise `CommandError` for an option that the list does not have."""
    for given in query.names:
        if given not in known:
            there_are = ", ".join(map(option_of, known))
            raise CommandError(f"{option_of(given)} is no option of the list {name}; there are {there_are}")


def _list(name: ListName) -> _List:
    from countermand.contracts.manage import desk_lists
    from countermand.contracts.manage.appointments import WAITING_TASKS

    lists: Mapping[ListName, _List] = {
        ListName.CANCELLATIONS: desk_lists.CANCELLATIONS,
        ListName.REFUSALS: desk_lists.REFUSALS,
        ListName.LATE_PAYMENTS: desk_lists.LATE_PAYMENTS,
        ListName.REFUNDS: desk_lists.REFUNDS,
        ListName.APPROVALS: desk_lists.APPROVALS,
        ListName.PART_PAYMENTS: desk_lists.PART_PAYMENTS,
        ListName.APPOINTMENT_TASKS: WAITING_TASKS,
    }
    return lists[name]


def _print_page(
    name: ListName, page: object, rows: Sequence[object], following: str | None, wanted_as: ListFormat
) -> None:
    if wanted_as is ListFormat.JSON:
        print_json(page)
        return
    columns = _COLUMNS[name]
    headings = [column.removesuffix(_MINOR).replace("_", " ") for column in columns]
    print_table(headings, [[_cell(column, getattr(row, column)) for column in columns] for row in rows])
    if following is not None:
        say(f"There may be more: add --after '{following}'")


def _cell(column: str, value: object) -> str:
    from msgspec import Raw

    match value:
        case None:
            return ""
        case list():
            return ", ".join(map(str, value))
        case datetime():
            return said(value)
        case int() if column.endswith(_MINOR):
            return written_minor(value)
        case Raw():  # a number as it is written
            return bytes(value).decode()
    return str(value)
