"""The commands of the operator's catalogue: load events, products, methods and vouchers from a file."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from countermand.actions.catalogue.load import (
    ADDED,
    AS_THEY_WERE,
    CHANGED,
    Catalogue,
    check_references,
    check_stock,
    load_catalogue,
)
from countermand.actions.errors import ConflictError, FieldsError
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import CommandError
from countermand.cli.import_files import nothing_loaded, progress_of
from countermand.cli.option_types import PATH
from countermand.cli.printing import say
from countermand.cli.whole_help import WholeHelpGroup
from countermand.domain.ticketing.catalogue import Product

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database
    from countermand.contracts.manage.catalogue_files import CatalogueFile

catalogue = typer.Typer(
    help="What can be bought: events, products, methods, vouchers.", no_args_is_help=True, cls=WholeHelpGroup
)

_AT_ONCE: Final = 100  # items in one transaction; cancellations wait for it meanwhile (guessed)


@catalogue.callback()
def _group() -> None:
    """Make typer treat this as a group: without a callback, typer would take the only command for the whole group."""


@catalogue.command("import")
def import_catalogue(
    file: Annotated[Path, typer.Argument(help="A file that ends in .json or .csv.", **PATH | {"metavar": "FILE"})],
    settings: SettingsFile = None,
) -> None:
    """Add events, products, methods and vouchers, or change those with the same uid; other items stay as they are.

    JSON: an object with any of the lists events, products, methods, vouchers, as PUT /manage/v1/catalogue takes it.
    CSV: one kind a file, a line of headings like uid, event, name.en, price.amount, price.currency, total_availability;
    values of a list have ; between them. The whole file is read and checked first: if a line is wrong, nothing is
    loaded. Loading the same file again changes nothing. Orders keep what they hold of a product when its total changes;
    a total below what orders hold is wrong.
    """
    given = _read(file)
    done: Counter[str] = Counter()

    async def load(database: "Database") -> None:
        async with database.store.snapshot() as reading:
            await check_references(reading, given.catalogue)
            await check_stock(reading, given.catalogue)
        with progress_of("items", len(given.catalogue)) as advance:
            for some in _some_at_a_time(given.catalogue):
                async with database.store.transaction() as tx:
                    done.update(await load_catalogue(tx, some))
                advance(len(some))

    try:
        with_database(read_settings(settings), load)
    except FieldsError as error:
        raise nothing_loaded(file, given.said(error.errors)) from None
    except ConflictError as error:
        raise CommandError(f"{error}; loaded before that: {_said(done)}") from None
    say(f"{file}: {len(given.catalogue):,} items: {_said(done)}")


def _said(done: Counter[str]) -> str:
    return ", ".join(f"{done[what]:,} {what}" for what in (ADDED, CHANGED, AS_THEY_WERE))


def _read(file: Path) -> "CatalogueFile":
    from countermand.contracts.manage.catalogue_files import CatalogueFileError, read_catalogue

    suffix = file.suffix.lower()
    if suffix not in {".json", ".csv"}:
        raise CommandError(f"{file} must end in .json or .csv")
    try:
        return read_catalogue(file.read_bytes(), is_csv=suffix == ".csv")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from None
    except CatalogueFileError as error:
        raise nothing_loaded(file, str(error).splitlines()) from None


def _some_at_a_time(whole: Catalogue) -> Iterator[Catalogue]:
    """Yield events and methods first, because other items refer to them; then products, then vouchers for products."""
    for start in range(0, len(whole.events), _AT_ONCE):
        yield Catalogue(events=whole.events[start : start + _AT_ONCE])
    for start in range(0, len(whole.methods), _AT_ONCE):
        yield Catalogue(methods=whole.methods[start : start + _AT_ONCE])
    some: list[Product] = []
    for product in sorted(whole.products, key=lambda one: (bool(one.parts), one.uid)):
        some.append(product)
        if len(some) == _AT_ONCE or product.uid in whole.seats:  # seats are rows, too, and may be many
            yield _with_seats(some, whole)
            some = []
    if some:
        yield _with_seats(some, whole)
    vouchers = iter(whole.vouchers)
    while codes := list(islice(vouchers, _AT_ONCE)):
        yield Catalogue(vouchers=codes)


def _with_seats(products: list[Product], whole: Catalogue) -> Catalogue:
    seats = {one.uid: whole.seats[one.uid] for one in products if one.uid in whole.seats}
    return Catalogue(products=products, seats=seats)
