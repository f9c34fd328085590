"""Makes the API modules of a service: those of the contracts, of the operator's API and of the token endpoint."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from countermand.actions.appointments.booking_backends import Calendar, OperatorsSystem
from countermand.actions.appointments.ports import BookingBackend, BookingTerms
from countermand.actions.cancelling.restore import UndoTerms
from countermand.actions.delivering.endpoints import EndpointAdministration
from countermand.actions.identity.ports import ClientAdministration
from countermand.actions.identity.staff import StaffAdministration
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ordering.payment_windows import PaymentWindows
from countermand.actions.privacy.ports import PersonalTexts
from countermand.contracts.connect import tokens
from countermand.contracts.connect.orders import Plan
from countermand.contracts.connect.routes import Connect
from countermand.contracts.connect.tokens import TokenEndpoint
from countermand.contracts.connect.versions import Versions
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.contract import Contract, Deployment, Page
from countermand.contracts.manage import routes as manage
from countermand.contracts.manage.partner_clients import PartnerTerms
from countermand.contracts.partner import routes as partner
from countermand.contracts.registry import accesses_of
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.routes import Shopping
from countermand.domain.contract import ContractName
from countermand.identity.public_keys import public_key_of
from countermand.settings import Settings

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


def api_modules(
    contracts: Sequence[Contract],
    deployment: Deployment,
    clients: ClientAdministration,
    staff: StaffAdministration,
    endpoint: TokenEndpoint | None = None,
    *,
    issuer: str | None = None,
    texts: PersonalTexts | None = None,
    undo: UndoTerms | None = None,
    feed: EventFeed | None = None,
    endpoints: EndpointAdministration | None = None,
) -> tuple[ApiModule, ...]:
    """Return all API modules: that of the token endpoint, if the service has one, and then the others by name.

    `issuer` is another issuer whose tokens are accepted. Without `texts`, `undo`, `feed` and
    `endpoints`, the calls about persons, the call that undoes a cancellation, the calls that read events, and those on
    endpoints are only described.
    """
    partners = PartnerTerms(read_key=public_key_of, gives_tokens=endpoint is not None, issuer=issuer)
    modules = [contract.api(deployment) for contract in contracts]
    modules.append(
        manage.api_module(
            clients,
            staff,
            accesses_of(contracts),
            partners,
            texts,
            windows_of(contracts, deployment),
            undo,
            feed,
            endpoints,
        )
    )
    modules.append(partner.api_module(feed, endpoints))
    own = [] if endpoint is None else [tokens.api_module(endpoint)]
    return (*own, *sorted(modules, key=lambda module: module.name))


def windows_of(contracts: Sequence[Contract], deployment: Deployment) -> PaymentWindows:
    """Return how long a new order of each contract can be paid, without the contracts whose orders do not expire."""
    return {one.name: one.payment_window(deployment) for one in contracts if one.payment_window is not None}


def payment_windows(settings: Settings, contracts: Sequence[Contract]) -> PaymentWindows:
    """Return the same from the settings, for a program that serves nothing."""
    public_url = settings.public_url or ""
    terms = (connect_of(settings), shopping_of(settings, public_url))
    return windows_of(contracts, Deployment(public_url=public_url, terms=terms))


def undo_of(settings: Settings, windows: PaymentWindows) -> UndoTerms:
    """Return which cancellations can be undone, from the settings. `windows` are the contracts' payment windows."""
    return UndoTerms(
        window=timedelta(seconds=settings.undo_window_s),
        clients_own=settings.undo_own_cancellations,
        payable=windows,
        bookings=connect_of(settings).booking.desk,
    )


def pages_of(contracts: Sequence[Contract]) -> Mapping[Page, frozenset[ContractName]]:
    """Return, for each page for buyers, the contracts whose orders it shows."""
    return {page: frozenset(one.name for one in contracts if page in one.pages) for page in Page}


def connect_of(settings: Settings) -> Connect:
    """Return the operator's terms of the connect contract, from the settings."""
    desk: BookingBackend = OperatorsSystem()
    if settings.appointments == "calendar":
        desk = Calendar(no_return=timedelta(hours=settings.appointment_no_return_h))
    return Connect(
        versions=Versions(deprecated_since=settings.connect_deprecated_since, sunset=settings.connect_sunset),
        booking=BookingTerms(desk=desk, answers_after=timedelta(seconds=settings.appointment_answers_after_s)),
        plans={name: Plan(**dict(plan)) for name, plan in settings.connect_plans.items()},
    )


def shopping_of(settings: Settings, public_url: str) -> Shopping:
    """Return the operator's terms of the shopping contract, from the settings."""
    return Shopping(
        addresses=addresses_of(settings, public_url),
        payment_limit=timedelta(seconds=settings.shopping_payment_limit_s),
        browser_origins=settings.shopping_allowed_origins,
    )


def addresses_of(settings: Settings, public_url: str) -> Addresses:
    """Return the addresses that the shopping contract's answers contain."""
    return Addresses(
        public=public_url,
        also=loopback_names(settings, public_url),
        documentation=settings.shopping_documentation_url.replace("{public_url}", public_url),
        payment=settings.shopping_payment_url.replace("{public_url}", public_url),
        etickets=settings.shopping_etickets_url.replace("{public_url}", public_url),
    )


def loopback_names(settings: Settings, public_url: str) -> tuple[str, ...]:
    """Return the other loopback addresses of this service; none if the settings name a public address."""
    port = urlsplit(public_url).port
    names = [f"http://{host}:{port}" for host in _LOOPBACK]
    if settings.public_url is not None or public_url not in names:
        return ()
    return tuple(name for name in names if name != public_url)
