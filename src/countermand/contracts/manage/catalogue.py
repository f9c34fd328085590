"""The catalogue in the operator's API: load events, products, methods and vouchers, and read them."""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

from countermand.actions.catalogue.load import ADDED, AS_THEY_WERE, CHANGED, Catalogue, check_references, load_catalogue
from countermand.actions.catalogue.ports import Section
from countermand.actions.catalogue.read import list_catalogue
from countermand.actions.errors import FieldsError
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import read, shown
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, ServiceCall, TransactionCall, no_body
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.http.store import Transaction
from countermand.contracts.manage.calls import ROOT, after_in, operation
from countermand.contracts.manage.catalogue_input import catalogue_of
from countermand.contracts.manage.catalogue_messages import CatalogueGiven
from countermand.contracts.manage.catalogue_output import MOST_SEAT_BLOCKS, CatalogueShown, page_shown
from countermand.domain.client import Permission

PATH: Final = ROOT + "/catalogue"
_PAGE: Final = 100


class CatalogueLoaded(Struct, kw_only=True):
    """The numbers of items that were added, changed, or the same already."""

    added: Annotated[int, Meta(description="The number of new items")]
    changed: Annotated[int, Meta(description="The number of items that were there and are different now")]
    as_they_were: Annotated[int, Meta(description="The number of items that were there and are the same")]


async def _load(tx: Transaction, context: CallContext[Catalogue]) -> Answer:
    await check_references(tx, context.body)
    done = await load_catalogue(tx, context.body)
    loaded = CatalogueLoaded(added=done[ADDED], changed=done[CHANGED], as_they_were=done[AS_THEY_WERE])
    return json_answer(200, loaded)


async def _read(context: CallContext[None]) -> Answer:
    given = after_in(context.request)
    section, name = (Section.EVENTS, "") if given is None else _after(given)
    found = await list_catalogue(
        context.services.store, section, name, at_most=_PAGE + 1, blocks_at_most=MOST_SEAT_BLOCKS
    )
    return json_answer(200, await page_shown(found, at_most=_PAGE))


def _after(given: str) -> tuple[Section, str]:
    """Return where a page begins. Raises `FieldsError` for a value that is not the `next` of a page."""
    found = re.fullmatch(f"({'|'.join(Section)})/([!-~]{{0,64}})", given)
    if found is None:
        raise FieldsError([("after", f"after must be the next of another page, not {shown(given)}")])
    return Section(found[1]), found[2]


def _given(given: DecodedBody) -> Catalogue:
    return catalogue_of(read(CatalogueGiven, given.json))


CALLS: Final[tuple[Call, ...]] = (
    ServiceCall(
        operation=operation(
            "readCatalogue",
            "GET",
            PATH,
            "Read the catalogue page by page. Each item has the form in which it can be loaded again",
            Permission.READ,
            {200: Reply(when="Up to 100 items; a page is never larger than a request may be", message=CatalogueShown)},
            parameters=[
                parameter("after", "query", "The `next` of the previous page", {"type": "string"}, required=False)
            ],
        ),
        body=no_body,
        handle=_read,
    ),
    TransactionCall(
        operation=operation(
            "loadCatalogue",
            "PUT",
            PATH,
            "Load events, products, methods and vouchers; the same uid changes one. If one is invalid, none is loaded",
            Permission.RECORD,
            {200: Reply(when="The numbers of added, changed and unchanged items", message=CatalogueLoaded)},
            request=CatalogueGiven,
        ),
        body=_given,
        products=lambda catalogue: [product.uid for product in catalogue.products],
        handle=_load,
    ),
)
