"""Joins settings, database and telemetry into a service that is ready to be served."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from litestar import Litestar
from litestar.types import ASGIApp

from countermand import __version__
from countermand.actions.bulkhead import Bulkhead
from countermand.actions.cancelling.cancel_orders import CancelOrders, CancelOutcome
from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.cancelling.group_commit import GroupCommit
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.cancelling.read_back import CancelAndShow, ReadBack, ReadBackWithHistory
from countermand.actions.delivering.endpoints import EndpointAdministration
from countermand.actions.metrics import NULL_METRICS, MetricsHook
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ports import Clock, SharedClock
from countermand.background.clock import ClockCheck, compare_clocks
from countermand.background.keys import refresh_keys
from countermand.background.metrics import post_counts
from countermand.background.rounds import DATABASE_ERRORS, ended, started
from countermand.bootstrap.api_modules import (
    api_modules,
    loopback_names,
    pages_of,
    undo_of,
    windows_of,
)
from countermand.bootstrap.background_tasks import by_the_shared_clock, filling
from countermand.bootstrap.clock import shared_by_all, utc_now
from countermand.bootstrap.database import (
    GROUPS_FROM,
    OVERTAKEN_CAP,
    READ_BACK_CAP,
    READ_BACK_FLIGHTS,
    Database,
    retention_of,
)
from countermand.bootstrap.endpoints import Delivering, Outside, delivering_in, deployment_of
from countermand.bootstrap.telemetry import telemetry_for, traced_calls
from countermand.bootstrap.what_waits import PROBE_LIMIT_S, say_what_waits
from countermand.contracts.connect.routes import Connect
from countermand.contracts.http.api_module import ApiModule
from countermand.contracts.http.calls import Services
from countermand.contracts.http.contract import Deployment
from countermand.contracts.registry import accesses_of
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, Schedule
from countermand.domain.signing_key import CLOCKS_APART
from countermand.environment import PREFIX
from countermand.identity.authentication import Authentication, Issuer, Tokens
from countermand.identity.client_directory import Directory
from countermand.identity.client_uses import ClientUses
from countermand.identity.key_sets import KeyRing, discovered, source_at
from countermand.identity.staff_directory import StaffDirectory
from countermand.identity.token_issuer import TokenIssuer
from countermand.settings import Settings, SettingsError
from countermand.storage.repositories.tokens import SqlUsedAssertions
from countermand.storage.retention import REFUSALS
from countermand.storage.schema import Schema
from countermand.storage.store import SqlStore
from countermand.telemetry.assembly import Telemetry
from countermand.telemetry.single_flight import SingleFlightProbe
from countermand.web.app import application
from countermand.web.front import Front
from countermand.web.http_protocol import HttpProtocol
from countermand.web.pages.buyer_pages import BuyerPages
from countermand.web.pages.sample_credentials import SampleCredential
from countermand.web.short_cut import ShortCutProtocol

log = structlog.get_logger()

_OWN_KEYS_AT_MOST_EVERY_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, joined and ready to be served."""

    application: ASGIApp
    protocol: Callable[..., HttpProtocol]  # makes that of a connection, from `Connections` and what uvicorn gives
    database: Database
    commit: GroupCommit[CancelOrder, CancelOutcome]
    cancel: CancelAndShow
    feed: EventFeed
    endpoints: EndpointAdministration
    ready: Callable[[], Awaitable[str | None]]


def build(
    settings: Settings,
    database: Database,
    public_url: str,
    *,
    clock: Clock | None = None,
    shared_clock: SharedClock | None = None,
    with_front: bool = True,
    telemetry: Telemetry | None = None,
    credentials: Sequence[SampleCredential] = (),
    outside: Outside | None = None,
    schedule: Schedule = USUAL_SCHEDULE,
) -> Service:
    """Join the parts, for the contracts that the database was opened for.

    Without the front, the framework carries the cancel calls, too. `clock` is this node's clock, by default the
    machine's; `shared_clock` is the clock of all nodes, by default the database's. If only `clock` is given, it is
    both. `telemetry` must have the metrics hook that the database was opened with. The pages about the calls have
    `credentials` filled in. `outside` replaces what sends to endpoints, by `schedule`.
    """
    if shared_clock is None:
        shared_clock = database.store.now if clock is None else shared_by_all(clock)
    clock = clock or utc_now
    clock_check = ClockCheck(clock, shared_clock)
    telemetry = telemetry or telemetry_for(settings)
    own = token_issuer_of(settings, database, public_url, clock=clock)
    tokens = Tokens(_issuers(settings, own), lambda: clock().timestamp())
    uses = ClientUses()
    directory = Directory(database.clients, refresh_s=settings.client_refresh_s)
    archive = PolicyArchive(store=database.store)
    staff = StaffDirectory(database.staff, refresh_s=settings.client_refresh_s)
    cancelling = cancelling_in(settings, database, archive, clock, telemetry.metrics)
    say_what_waits(telemetry, cancelling, database.store, clock_check, clock)
    authenticator = Authentication(
        tokens, directory, staff, accesses_of(database.contracts), lambda: clock().timestamp(), uses.note
    )
    services = _services(settings, database, archive, clock, authenticator, cancelling, public_url)
    ready = _readiness(database, clock_check)
    deployment = _deployment(settings, public_url, telemetry)
    feed = EventFeed(database.store, shared_clock)
    delivering = _delivering(settings, database, deployment, shared_clock, telemetry, cancelling, outside, schedule)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        started_with = list(database.policies.by_contract.values())
        await database.store.keep_policies(started_with, clock())
        await database.store.note_in_force(started_with, clock())
        if own is not None:
            await own.open()
        await tokens.refresh()
        stopping = asyncio.Event()
        tasks = [
            started(post_counts(telemetry, stopping), name="counts"),
            started(refresh_keys(tokens.refresh, settings.key_set_refresh_s, stopping), name="key sets"),
            *filling(database.store, archive, shared_clock, telemetry, stopping),
            *by_the_shared_clock(settings, database, shared_clock, uses, feed, stopping),
            started(compare_clocks(clock_check, stopping), name="clocks"),
        ]
        if settings.deliveries:
            tasks.append(started(delivering.relay.run(stopping), name="deliveries"))
        if own is not None:
            every_s = max(settings.client_refresh_s, _OWN_KEYS_AT_MOST_EVERY_S)
            tasks.append(started(refresh_keys(own.key_ring.refresh, every_s, stopping), name="own keys"))
        try:
            yield
        finally:
            stopping.set()
            await cancelling.close()
            await ended(tasks)
            await delivering.outside.close()
            await telemetry.close()

    application_ = application(
        services,
        _api_modules(settings, database, deployment, own, feed, delivering.endpoints),
        cancelling,
        version=__version__,
        ready=ready,
        requests=telemetry.requests,
        buyer_pages=_buyer_pages(settings, database, clock, telemetry, public_url),
        credentials=credentials,
        metrics=telemetry.counts if settings.metrics else None,
        traces=traced_calls(telemetry),
        lifespan=lifespan,
        with_front=with_front,
    )
    return Service(
        application=application_,
        protocol=_protocol(settings, application_, authenticator, telemetry),
        database=database,
        commit=cancelling.commit,
        cancel=cancelling,
        feed=feed,
        endpoints=delivering.endpoints,
        ready=ready,
    )


def _delivering(
    settings: Settings,
    database: Database,
    deployment: Deployment,
    shared_clock: SharedClock,
    telemetry: Telemetry,
    cancelling: CancelAndShow,
    outside: Outside | None,
    schedule: Schedule,
) -> Delivering:
    """Return what delivers events. The relay is woken after each commit that wrote events."""
    counts = telemetry.counts.deliveries
    made = delivering_in(settings, database, deployment, shared_clock, counts, cancelling.at_a_time, outside, schedule)
    database.store.after_events = made.relay.wake
    return made


def _services(
    settings: Settings,
    database: Database,
    archive: PolicyArchive,
    clock: Clock,
    authenticator: Authentication,
    cancelling: CancelAndShow,
    public_url: str,
) -> Services:
    """Return what handlers answer calls with."""
    return Services(
        store=database.store,
        policies=database.policies,
        archive=archive,
        clock=clock,
        authenticator=authenticator,
        command_ids=CommandIds(),
        cancel=cancelling.submit_and_show_history,
        public_url=public_url,
        refusals_kept=retention_of(settings)[REFUSALS],
        override_needs_two=settings.override_needs_two,
        bulkhead=_bulkhead(settings),
    )


def _deployment(settings: Settings, public_url: str, telemetry: Telemetry) -> Deployment:
    """Return the terms of the contracts. The versions that connect takes are counted from the start."""
    deployment = deployment_of(settings, public_url)
    telemetry.counts.count_versions(deployment.terms_of(Connect).versions.taken)
    return deployment


def _api_modules(
    settings: Settings,
    database: Database,
    deployment: Deployment,
    own: TokenIssuer | None,
    feed: EventFeed,
    endpoints: EndpointAdministration,
) -> tuple[ApiModule, ...]:
    return api_modules(
        database.contracts,
        deployment,
        database.clients,
        database.staff,
        own,
        issuer=settings.connect_issuer,
        texts=database.privacy,
        undo=undo_of(settings, windows_of(database.contracts, deployment)),
        feed=feed,
        endpoints=endpoints,
    )


def _buyer_pages(
    settings: Settings, database: Database, clock: Clock, telemetry: Telemetry, public_url: str
) -> BuyerPages:
    return BuyerPages(
        database.store,
        clock,
        telemetry.requests,
        pages_of(database.contracts),
        public_url=public_url,
        payments=settings.sandbox_payments,
        zone=ZoneInfo(settings.pages_time_zone),
    )


def _bulkhead(settings: Settings) -> Bulkhead | None:
    if settings.is_sqlite:  # its writers take turns, and take their connection only then
        return None
    return Bulkhead(connections=settings.database_connections, limit_s=settings.database_busy_limit_s)


def cancelling_in(
    settings: Settings,
    database: Database,
    archive: PolicyArchive,
    clock: Clock,
    metrics: MetricsHook = NULL_METRICS,
) -> CancelAndShow:
    """Return the group commit of cancellations, with the batches that read cancelled orders back."""
    cancel = CancelOrders(
        store=database.cancellations,
        policies=database.policies,
        archive=archive,
        clock=clock,
        settle_limit_s=settings.settle_limit_s,
        metrics=metrics,
        after_events=lambda: database.store.after_events(),  # noqa: PLW0108 - it is set later
    )
    commit: GroupCommit[CancelOrder, CancelOutcome] = GroupCommit(
        run=cancel,
        batch_cap=settings.batch_cap,
        queue_cap=settings.queue_cap,
        queue_limit_s=settings.database_busy_limit_s,
        flights=settings.flights,
        slow_s=settings.slow_batch_s,
        overtaken_cap=0 if settings.is_sqlite else OVERTAKEN_CAP,  # on SQLite all flights wait for one lock
        groups_from=None if settings.is_sqlite else GROUPS_FROM,  # SQLite works on the event loop, where callers wait
        metrics=metrics,
    )
    read_back = ReadBack(store=database.cancellations, limit_s=settings.settle_limit_s)
    return CancelAndShow(
        commit=commit,
        read_back=GroupCommit(run=read_back, batch_cap=READ_BACK_CAP, flights=READ_BACK_FLIGHTS),
        read_back_with_history=ReadBackWithHistory(store=database.store, limit_s=settings.settle_limit_s),
        load=cancel.load,
    )


def _protocol(
    settings: Settings, application_: ASGIApp, authenticator: Authentication, telemetry: Telemetry
) -> Callable[..., HttpProtocol]:
    if not settings.short_cut or telemetry.tracing is not None or not isinstance(application_, Front):
        return HttpProtocol
    return partial(ShortCutProtocol, application_.by_path, authenticator.known_client)


def _readiness(database: Database, clock_check: ClockCheck) -> Callable[[], Awaitable[str | None]]:
    """Return a function that checks whether the service is ready."""
    ask_schema = SingleFlightProbe(lambda: _schema(database.store), limit_s=PROBE_LIMIT_S)
    # The cancellation path has connections of its own, so it needs a probe of its own.
    ask_cancellations = SingleFlightProbe(lambda: database.cancellations.orders([]), limit_s=PROBE_LIMIT_S)

    ask_clock = SingleFlightProbe(clock_check.off_s, limit_s=PROBE_LIMIT_S)

    async def ready() -> str | None:
        """Return None, or why the service is not ready. The reason has no secrets, because everybody may read it."""
        try:
            schema, _, off_s = await asyncio.gather(ask_schema(), ask_cancellations(), ask_clock())
        except (*DATABASE_ERRORS, TimeoutError) as error:
            log.warning("not ready", reason=str(error) or f"no answer from the database within {PROBE_LIMIT_S:g} s")
            return "the database cannot be used"
        if not schema.is_known:
            log.warning("not ready", schema=schema.number, oldest_code=schema.oldest_code)
            return "the database has another schema than this version works with"
        if off_s > CLOCKS_APART.total_seconds():  # the check has logged it
            return f"this node's clock is {off_s:.0f} seconds off the database's"
        return None

    return ready


def token_issuer_of(
    settings: Settings, database: Database, public_url: str, *, clock: Clock = utc_now
) -> TokenIssuer | None:
    """Return the service's own token issuer, or None if the settings switch it off."""
    if not settings.gives_tokens_out:
        return None
    return TokenIssuer(
        public_url=public_url,
        also=loopback_names(settings, public_url),
        realm=settings.connect_realm,
        signing_keys=database.signing_keys,
        client_keys=database.client_keys,
        used=SqlUsedAssertions(database.store),
        clock=clock,
    )


def _issuers(settings: Settings, own: TokenIssuer | None) -> dict[str, Issuer]:
    """Return the issuers whose tokens are accepted, by the claim `iss` of their tokens."""
    issuers = {} if own is None else {own.issuer: own.as_issuer}
    name, key_set = settings.connect_issuer, settings.connect_key_set
    if name is None:
        return issuers
    if own is not None and name in own.issuers:
        raise SettingsError(f"{PREFIX}CONNECT_ISSUER is the address of our own token endpoint: leave it out")
    issuers[name] = Issuer(
        name=name,
        keys=KeyRing(discovered(name) if key_set is None else source_at(key_set)),
        claim=settings.connect_client_claim,
        audience=settings.connect_audience,
    )
    return issuers


async def _schema(store: SqlStore) -> Schema:
    async with store.snapshot() as reading:
        schema = Schema(*await reading.schema())
    store.check_files()
    return schema
