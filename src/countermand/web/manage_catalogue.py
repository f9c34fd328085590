"""The catalogue in the operator's API: bring in events, products, methods and vouchers."""

from typing import Final

from msgspec import Struct

from countermand.actions.load_catalogue import ADDED, AS_THEY_WERE, CHANGED, Catalogue, check_references, load_catalogue
from countermand.actions.ports import Transaction
from countermand.contracts.answer import Answer, json_answer
from countermand.contracts.body import decode, read
from countermand.contracts.openapi import Reply
from countermand.contracts.routing import Call, Route, Services
from countermand.domain.client import Client
from countermand.web.catalogue_given import CatalogueGiven, catalogue_of
from countermand.web.manage_speaking import ROOT, change, route

PATH: Final = ROOT + "/catalogue"


class CatalogueLoaded(Struct, kw_only=True):
    """How many were added, changed, or the same already."""

    added: int
    changed: int
    as_they_were: int


async def _load(call: Call, services: Services) -> Answer:
    async def do(tx: Transaction, _: Client, wanted: Catalogue) -> Answer:
        await check_references(tx, wanted)
        done = await load_catalogue(tx, wanted)
        loaded = CatalogueLoaded(added=done[ADDED], changed=done[CHANGED], as_they_were=done[AS_THEY_WERE])
        return json_answer(200, loaded)

    return await change(call, services, _given, do)


def _given(call: Call) -> Catalogue:
    return catalogue_of(read(CatalogueGiven, decode(call.body)))


ROUTES: Final[tuple[Route, ...]] = (
    route(
        "loadCatalogue",
        "PUT",
        PATH,
        "Add events, products, methods and vouchers, or change those with the same uid: all of them or none",
        _load,
        {200: Reply(when="What was done", message=CatalogueLoaded)},
        CatalogueGiven,
    ),
)
