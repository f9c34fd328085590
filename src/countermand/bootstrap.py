"""The one place where parts are chosen and joined: settings in, a running service out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from litestar import Litestar
from litestar.types import ASGIApp
from sqlalchemy.exc import DBAPIError

from countermand import __version__
from countermand.actions.cancel_orders import CancelOrders, CancelOutcome
from countermand.actions.errors import CountermandError, UnavailableError
from countermand.actions.explain import PolicyArchive
from countermand.actions.group_commit import GroupCommit
from countermand.actions.ports import CancelOrder, Clock, Policies
from countermand.contracts.routing import Services
from countermand.contracts.shopping.addresses import Addresses
from countermand.domain.contract import Contract
from countermand.settings import Settings
from countermand.storage.clients import SqliteClients
from countermand.storage.hot_sqlite import SqliteCancellations
from countermand.storage.schema import check_schema, is_known_schema
from countermand.storage.store import SqliteStore
from countermand.web.app import application
from countermand.web.auth import Authentication, Directory, Issuer, Tokens
from countermand.web.key_sets import KeyRing

log = structlog.get_logger()

_SWEEP_EVERY_S: Final = 600.0
_SWEEP_PAUSE_S: Final = 0.05
_SWEPT_AT_ONCE: Final = 1000


def utc_now() -> datetime:
    """The clock: aware, UTC, whole microseconds."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Database:
    """The parts that keep things, joined around the process's one write lock."""

    store: SqliteStore
    clients: SqliteClients
    cancellations: SqliteCancellations
    policies: Policies

    async def close(self) -> None:
        """Give everything back."""
        self.cancellations.close()
        await self.store.close()


def open_database(settings: Settings) -> Database:
    """Open the database, on the running event loop. Raises `SchemaError` with what to do."""
    check_schema(settings.database_path)
    write_lock = asyncio.Lock()
    busy_limit_s = settings.database_busy_limit_s
    policies = Policies(by_contract={contract: settings.policy(contract) for contract in Contract})
    store = SqliteStore(settings.database_path, write_lock, busy_limit_s=busy_limit_s)
    return Database(
        store=store,
        clients=SqliteClients(store),
        cancellations=SqliteCancellations(settings.database_path, policies, write_lock, busy_limit_s=busy_limit_s),
        policies=policies,
    )


def addresses_of(settings: Settings, public_url: str) -> Addresses:
    """The addresses of the shopping contract."""
    return Addresses(
        public=public_url,
        documentation=settings.shopping_documentation_url,
        payment=settings.shopping_payment_url.replace("{public_url}", public_url),
        etickets=settings.shopping_etickets_url.replace("{public_url}", public_url),
    )


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, joined and ready to be served."""

    application: ASGIApp
    database: Database
    commit: GroupCommit[CancelOrder, CancelOutcome]


def build(
    settings: Settings,
    database: Database,
    public_url: str,
    *,
    clock: Clock = utc_now,
    with_front: bool = True,
) -> Service:
    """Join the parts. Without the front, the framework carries the cancel paths, too."""
    issuers = {}
    if settings.connect_issuer is not None and settings.connect_key_set is not None:
        issuers[settings.connect_issuer] = Issuer(
            name=settings.connect_issuer,
            keys=KeyRing(settings.connect_key_set),
            claim=settings.connect_client_claim,
            audience=settings.connect_audience,
        )
    tokens = Tokens(issuers, lambda: clock().timestamp())
    directory = Directory(database.clients, refresh_s=settings.client_refresh_s)
    cancel = CancelOrders(
        store=database.cancellations,
        policies=database.policies,
        archive=PolicyArchive(store=database.store),
        clock=clock,
        settle_limit_s=settings.settle_limit_s,
    )
    commit: GroupCommit[CancelOrder, CancelOutcome] = GroupCommit(
        run=cancel, batch_cap=settings.batch_cap, queue_cap=settings.queue_cap
    )
    services = Services(
        store=database.store,
        policies=database.policies,
        clock=clock,
        authenticator=Authentication(tokens, directory),
        cancel=commit.submit,
        public_url=public_url,
    )

    async def ready() -> str | None:
        """None, or why not: in words for anybody, as anybody may ask."""
        try:
            async with database.store.snapshot() as reading:
                number = await reading.schema_number()
        except (UnavailableError, DBAPIError) as error:
            log.warning("not ready", reason=str(error))
            return "the database cannot be used"
        if is_known_schema(number):
            return None
        log.warning("not ready", schema=number)
        return "the database has another schema than this version works with"

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await database.store.keep_policies(list(database.policies.by_contract.values()), clock())
        await tokens.refresh()
        stopping = asyncio.Event()
        chores = [
            asyncio.create_task(_refresh_keys(tokens, settings.key_set_refresh_s, stopping), name="key sets"),
            asyncio.create_task(
                _forget_keys(database.store, clock, settings.idempotency_kept_h, stopping), name="old keys"
            ),
        ]
        try:
            yield
        finally:
            stopping.set()
            await commit.close()
            await asyncio.gather(*chores)

    application_ = application(
        services,
        addresses_of(settings, public_url),
        commit,
        version=__version__,
        ready=ready,
        lifespan=lifespan,
        with_front=with_front,
    )
    return Service(application=application_, database=database, commit=commit)


async def _refresh_keys(tokens: Tokens, every_s: float, stopping: asyncio.Event) -> None:
    while not await _stops_within(every_s, stopping):
        await tokens.refresh()


async def _forget_keys(store: SqliteStore, clock: Clock, kept_h: int, stopping: asyncio.Event) -> None:
    """Idempotency keys are kept for a while, and forgotten a few at a time, so that nobody waits for it."""
    pause_s = 0.0
    while not await _stops_within(pause_s, stopping):
        try:
            forgotten = await store.forget_keys(clock() - timedelta(hours=kept_h), at_most=_SWEPT_AT_ONCE)
        except CountermandError as error:
            log.warning("old idempotency keys stay for now", reason=str(error))
            forgotten = 0
        pause_s = _SWEEP_PAUSE_S if forgotten == _SWEPT_AT_ONCE else _SWEEP_EVERY_S


async def _stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait, unless the service stops: chores end between two pieces of work, never in the middle of one."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()
