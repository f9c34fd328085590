"""The catalogue in the operator's API: bring in events, products, methods and vouchers, and read them back."""

import re
from typing import Final

from msgspec import Struct

from countermand.actions.catalogue.load import ADDED, AS_THEY_WERE, CHANGED, Catalogue, check_references, load_catalogue
from countermand.actions.catalogue.ports import Section
from countermand.actions.catalogue.read import list_catalogue
from countermand.actions.errors import FieldsError
from countermand.actions.ports import Transaction
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import read, shown
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, ServiceCall, TransactionCall, no_body
from countermand.contracts.http.openapi import Reply, parameter
from countermand.contracts.manage.calls import ROOT, operation
from countermand.contracts.manage.catalogue_input import CatalogueGiven, catalogue_of
from countermand.contracts.manage.catalogue_output import CatalogueShown, page_shown
from countermand.domain.client import Permission

PATH: Final = ROOT + "/catalogue"
_PAGE: Final = 100


class CatalogueLoaded(Struct, kw_only=True):
    """How many were added, changed, or the same already."""

    added: int
    changed: int
    as_they_were: int


async def _load(tx: Transaction, context: CallContext[Catalogue]) -> Answer:
    await check_references(tx, context.body)
    done = await load_catalogue(tx, context.body)
    loaded = CatalogueLoaded(added=done[ADDED], changed=done[CHANGED], as_they_were=done[AS_THEY_WERE])
    return json_answer(200, loaded)


async def _read(context: CallContext[None]) -> Answer:
    section, name = _after(context.request.query.get("after", f"{Section.EVENTS}/"))
    found = await list_catalogue(context.services.store, section, name, at_most=_PAGE + 1)
    return json_answer(200, page_shown(found, at_most=_PAGE))


def _after(given: str) -> tuple[Section, str]:
    """Where a page begins. Raises `FieldsError` for what no page said."""
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
            "What was brought in, a page at a time, each in the shape in which it can be given back",
            Permission.READ,
            {200: Reply(when="Up to 100 items, and no more than a request may have", message=CatalogueShown)},
            parameters=[
                parameter("after", "query", "The `next` of the page before", {"type": "string"}, required=False)
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
            "Add events, products, methods and vouchers, or change those with the same uid: all of them or none",
            Permission.RECORD,
            {200: Reply(when="What was done", message=CatalogueLoaded)},
            request=CatalogueGiven,
        ),
        body=_given,
        products=lambda catalogue: [product.uid for product in catalogue.products],
        handle=_load,
    ),
)
