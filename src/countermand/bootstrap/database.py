"""Opens the database that the settings name, and makes the objects that read and write it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from countermand.actions.cancelling.policies import Policies
from countermand.actions.metrics import NULL_METRICS, MetricsHook
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS, kinds_of
from countermand.settings import Settings
from countermand.storage.postgres.cancellations import PostgresCancellations
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.postgres.store import PostgresStore
from countermand.storage.repositories.clients import SqlClients
from countermand.storage.repositories.privacy import SqlPrivacy
from countermand.storage.repositories.staff import SqlStaff
from countermand.storage.repositories.tokens import SqlClientKeys, SqlSigningKeys
from countermand.storage.retention import (
    APPROVALS,
    ATTEMPTS,
    CANCELLATIONS,
    DELIVERED_ORDER_EVENTS,
    DELIVERIES,
    IDEMPOTENCY_KEYS,
    REFUSALS,
    RETIRED_KEYS,
    UNDONE_CANCELLATIONS,
    UNHEARD_ORDER_EVENTS,
    USED_ASSERTIONS,
    RetentionRule,
)
from countermand.storage.schema import DatabaseAddress, check_schema
from countermand.storage.sqlite.cancellations import SqliteCancellations
from countermand.storage.sqlite.checkpoints import Checkpoints
from countermand.storage.sqlite.store import SqliteStore
from countermand.storage.sqlite.write_lock import WriteLock
from countermand.storage.store import SqlStore

GROUPS_FROM: Final = 32  # with fewer callers, two groups cancel less a second: by a fifth with eight (measured)
OVERTAKEN_CAP: Final = 4  # slow batches beside the current one, each with a connection of its own
READ_BACK_FLIGHTS: Final = 2
READ_BACK_CAP: Final = 64  # orders read at once: each may have a hundred tickets
_CLOCKS_APART: Final = timedelta(hours=1)  # another node, whose clock is behind, may still need the row


@dataclass(frozen=True, kw_only=True)
class Database:
    """Everything that reads and writes the database, for the contracts in force."""

    contracts: Sequence[Contract]
    store: SqlStore
    clients: SqlClients
    client_keys: SqlClientKeys
    staff: SqlStaff
    signing_keys: SqlSigningKeys
    privacy: SqlPrivacy
    cancellations: SqliteCancellations | PostgresCancellations
    policies: Policies

    async def close(self) -> None:
        """Close all connections."""
        await self.cancellations.close()
        await self.store.close()


def address_of(settings: Settings) -> DatabaseAddress:
    """Return the address of the database that the settings name."""
    if settings.database_url is None:
        return settings.database_path
    return PostgresAddress(
        url=settings.database_url.get_secret_value(),
        connect_limit_s=settings.database_connect_limit_s,
        busy_limit_s=settings.database_busy_limit_s,
        statement_limit_s=settings.database_statement_limit_s,
    )


async def open_database(
    settings: Settings, *, contracts: Sequence[Contract] = CONTRACTS, metrics: MetricsHook = NULL_METRICS
) -> Database:
    """Open the database for `contracts`, on the running event loop. Raises `SchemaError` with what to do."""
    address = await check_schema(address_of(settings))
    policies = Policies(by_contract={contract.name: settings.policy(contract) for contract in contracts})
    kinds = kinds_of(contracts)
    busy_limit_s = settings.database_busy_limit_s
    store: SqlStore
    cancellations: SqliteCancellations | PostgresCancellations
    if isinstance(address, PostgresAddress):
        store = PostgresStore(address, kinds, connections=settings.database_connections)
        cancellations = PostgresCancellations(
            address,
            policies,
            kinds,
            connections=settings.flights + OVERTAKEN_CAP + READ_BACK_FLIGHTS,
            distributed=settings.database_distributed,
            metrics=metrics,
        )
        await cancellations.open()
    else:
        write_lock = WriteLock(limit_s=busy_limit_s)  # the process's only lock around everything that writes
        checkpoints = Checkpoints(address, write_lock)
        store = SqliteStore(address, kinds, write_lock, checkpoints, busy_limit_s=busy_limit_s)
        cancellations = SqliteCancellations(address, policies, kinds, write_lock, checkpoints, metrics=metrics)
    return Database(
        contracts=contracts,
        store=store,
        clients=SqlClients(store),
        client_keys=SqlClientKeys(store),
        staff=SqlStaff(store),
        signing_keys=SqlSigningKeys(store),
        privacy=SqlPrivacy(store),
        cancellations=cancellations,
        policies=policies,
    )


def retention_of(settings: Settings) -> dict[RetentionRule, timedelta]:
    """Return the retention rules, each with the age at which it deletes rows. Rows that are kept for ever have none."""
    kept = {
        IDEMPOTENCY_KEYS: timedelta(hours=settings.idempotency_kept_h),
        DELIVERED_ORDER_EVENTS: timedelta(days=settings.delivered_kept_d),
        DELIVERIES: timedelta(days=settings.delivered_kept_d),
        ATTEMPTS: timedelta(days=settings.attempts_kept_d),
        REFUSALS: timedelta(days=settings.refusals_kept_d),
        APPROVALS: timedelta(days=settings.refusals_kept_d),
        USED_ASSERTIONS: _CLOCKS_APART,
        RETIRED_KEYS: _CLOCKS_APART,
    }
    if settings.cancellations_kept_d is not None:
        kept[CANCELLATIONS] = kept[UNDONE_CANCELLATIONS] = timedelta(days=settings.cancellations_kept_d)
    if settings.unheard_kept_d is not None:
        kept[UNHEARD_ORDER_EVENTS] = timedelta(days=settings.unheard_kept_d)
    return kept
