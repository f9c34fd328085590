"""Defines all settings. They form one frozen value, read once from the environment and a file. Names contain units."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as UnreadableError

from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS
from countermand.domain.cancelling.policy import Policy, policy_of
from countermand.domain.client import OWN_ISSUER
from countermand.environment import PREFIX, check_text, is_of_a_service, nearest_name, path_of, unknown_variables
from countermand.webhook_settings import WebhookSettings

SETTINGS_FILE: Final = "settings"  # the variable that names the file, which is an option of the command line

# Every web page that this machine itself serves, at any port.
LOOPBACK_ORIGINS: Final = tuple(
    f"{scheme}://{host}:*" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1", "[::1]")
)


_SECRET: Final = ("database_url", "webhook_secret_key", "webhook_proxy_url")


class SettingsError(Exception):
    """Raised for an invalid setting. The message names the setting and its value."""


class ConnectPlan(BaseModel):
    """A plan's charges in Australian dollars, and its speeds in Mbit/s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one_time_charge: Decimal = Field(ge=0, max_digits=12, decimal_places=2)
    monthly_charge: Decimal = Field(ge=0, max_digits=12, decimal_places=2)
    speed_down_mbit_s: int | None = Field(None, ge=1)
    speed_up_mbit_s: int | None = Field(None, ge=1)


class Settings(WebhookSettings):
    """All settings with their defaults. In the environment, each name has the prefix `COUNTERMAND_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    database_path: Path = Field(Path("countermand.sqlite3"), description="The SQLite database")
    database_url: SecretStr | None = Field(
        None, description="A PostgreSQL database to use instead: postgresql://user:password@host/name"
    )
    database_distributed: bool = Field(
        False,
        description="An experiment: PostgreSQL writes a batch in parts, not yet enough for Citus; leave it off",
    )
    database_connections: int = Field(
        10, ge=1, le=1000, description="PostgreSQL: connections a process, beside those that cancel"
    )
    host: str = Field("127.0.0.1", description="The address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one")
    public_url: str | None = Field(
        None, description="The address clients use, without a trailing slash; by default where it listens"
    )

    connect_token_endpoint: bool | None = Field(
        None,
        description="Whether access tokens are given out here; by default unless there is a CONNECT_ISSUER",
    )
    connect_realm: str = Field(
        "superloop",
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Where: /auth/realms/REALM; the default is the published path",
    )
    connect_issuer: str | None = Field(
        None, description="The `iss` of another issuer whose tokens count for connect; it leads to its key set, too"
    )
    connect_key_set: str | None = Field(
        None, description="That issuer's key set: a file, or an http(s) URL; by default as it says itself"
    )
    connect_client_claim: Literal["clientId", "client_id", "userId", "azp", "sub"] = Field(
        "clientId", description="The claim of that issuer's tokens that names the client"
    )
    connect_audience: str | None = Field(
        None, description="What the `aud` of that issuer's tokens must have; by default not asked"
    )
    key_set_refresh_s: float = Field(300, gt=0, description="How often key sets are read again")
    client_refresh_s: float = Field(2, ge=0, le=60, description="How soon a revoked client counts as revoked")

    connect_plans: Mapping[str, ConnectPlan] = Field(
        default_factory=dict,
        description="Plans by name, with charges and speeds; where there are any, no others are sold",
    )
    connect_deprecated_since: AwareDatetime | None = Field(
        None, description="Answers in versions 1 and 2 say since when these are deprecated; by default they do not"
    )
    connect_sunset: AwareDatetime | None = Field(
        None, description="Answers in versions 1 and 2 say until when these will work; by default they do not"
    )
    appointments: Literal["calendar", "remote"] = Field(
        "calendar", description="Who offers and books appointments: the calendar here, or your system over /manage/v1"
    )
    appointment_no_return_h: int = Field(
        0, ge=0, le=24 * 30, description="Calendar: how long before it begins an appointment can no longer be cancelled"
    )
    appointment_answers_after_s: float = Field(
        0, ge=0, le=3600, description="How long answers about appointments are held back, to practise waiting for them"
    )

    shopping_documentation_url: str = Field(
        "{public_url}/documentation",
        description="Where profiles and curies lead, by default to pages of ours: {public_url} is filled in",
    )
    shopping_payment_url: str = Field(
        "{public_url}/payments/{uid}", description="The page a buyer pays on: {public_url} and {uid} are filled in"
    )
    shopping_etickets_url: str = Field(
        "{public_url}/etickets/{token}",
        description="The page with the e-tickets: {public_url} and {token} are filled in",
    )

    sandbox_payments: bool = Field(
        False,
        description="Whether the payment page is ours: a sandbox where no money moves, for all who have its address",
    )
    pages_time_zone: str = Field(
        "UTC", description="The time zone of dates on the pages for buyers, by its IANA name, like Europe/Amsterdam"
    )
    shopping_allowed_origins: list[str] = Field(
        default_factory=list,
        description="Origins of browser applications that may call the shopping contract; "
        "in http://localhost:* the star is any port",
    )
    shopping_payment_limit_s: float = Field(
        3600, ge=1, le=366 * 24 * 3600, description="How long an order can be paid before it expires"
    )

    undo_window_s: float = Field(
        600, ge=0, le=30 * 24 * 3600, description="How long the operator can undo a cancellation; 0 never"
    )
    undo_own_cancellations: bool = Field(
        False, description="Whether the operator can also undo what a client cancelled itself"
    )

    policies: Mapping[str, list[dict[str, object]]] = Field(
        default_factory=dict, description="By contract: the list of rules that decide, each a name and its parameters"
    )

    override_needs_two: bool = Field(
        False, description="Whether an override of the policy waits until another person confirms it"
    )

    short_cut: bool = Field(True, description="Whether usual cancellations are answered within the HTTP protocol")
    batch_cap: int = Field(512, ge=1, le=4096, description="Cancellations in one transaction at most")
    queue_cap: int = Field(10_000, ge=1, description="Cancellations that may wait; beyond it, 503")
    flights: int = Field(1, ge=1, le=256, description="PostgreSQL: batches a process writes at once")
    slow_batch_s: float = Field(0.25, gt=0, description="PostgreSQL: after how long the next batch overtakes this one")
    database_connect_limit_s: float = Field(3, gt=0, description="PostgreSQL: how long to try to reach the server")
    database_busy_limit_s: float = Field(
        5, gt=0, description="How long to wait in the queue, for a connection, or for what another has locked"
    )
    database_statement_limit_s: float = Field(10, gt=0, description="PostgreSQL: how long a statement may take")
    settle_limit_s: float = Field(10, gt=0, description="How long to look for the outcome of a commit that was cut off")
    connections_cap: int = Field(
        10_000, ge=1, description="Connections of clients to a process at once; less where it may open fewer files"
    )
    idle_limit_s: float = Field(75, gt=0, description="How long a connection stays open without a request")
    head_limit_s: float = Field(20, gt=0, description="How long the head of a request may take to come")
    body_limit_s: float = Field(30, gt=0, description="How long the body of a request may take to come")
    write_limit_s: float = Field(
        30, gt=0, description="How long a client may take nothing of an answer that it asked for"
    )
    stop_limit_s: int = Field(30, ge=1, description="How long a stop waits for requests under way")
    idempotency_kept_h: int = Field(24, ge=1, le=24 * 366, description="How long an Idempotency-Key is kept")
    deliveries: bool = Field(
        True, description="Whether this node sends events to endpoints; the others go on without it"
    )
    delivered_kept_d: int = Field(
        30, ge=1, le=36_500, description="How long an order event is kept after every endpoint is done with it"
    )
    attempts_kept_d: int = Field(30, ge=1, le=36_500, description="How long an attempt stands in the log of attempts")
    unheard_kept_d: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="How long an order event is kept that no endpoint gets, as there was none; by default for ever",
    )
    refusals_kept_d: int = Field(
        400, ge=1, le=36_500, description="How long a refused cancellation, and an approval, is kept"
    )
    cancellations_kept_d: int | None = Field(
        None, ge=1, le=36_500, description="How long the record of a cancellation is kept; by default for ever"
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Which log lines are written")
    log_requests: bool = Field(True, description="A line for each request at level info; otherwise for failures alone")
    metrics: bool = Field(True, description="Whether /metrics is answered, to everybody who can reach the port")
    traces_url: str | None = Field(
        None, description="Where traces are sent: an OTLP/HTTP endpoint, with its path; by default nowhere"
    )
    traces_share: float = Field(1, ge=0, le=1, description="The part of requests that is traced, unless a caller says")

    @field_validator("*", mode="before")
    @classmethod
    def _plain_text(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str):
            check_text(text)
        return value

    @field_validator("database_path", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        return path_of(str(value)) if isinstance(value, str | Path) else value

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        if url and not re.match(r"postgres(ql)?(\+[a-z0-9]+)?://", url):
            raise ValueError("must begin with postgresql://; for an SQLite file, set COUNTERMAND_DATABASE_PATH")
        return value if url else None

    @field_validator("connect_issuer", "connect_key_set")
    @classmethod
    def _or_none(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("connect_key_set")
    @classmethod
    def _file_or_url(cls, value: str | None) -> str | None:
        return value if value is None or value.startswith(("http://", "https://")) else str(path_of(value))

    @field_validator("public_url", "shopping_documentation_url", "traces_url")
    @classmethod
    def _plain_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        begins = ("http://", "https://", *(["{public_url}"] if info.field_name == "shopping_documentation_url" else []))
        if value is not None and not value.startswith(begins):
            raise ValueError("must begin with http:// or https://")
        return None if value is None else value.rstrip("/")

    @field_validator("pages_time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"must be the name of a time zone like Europe/Amsterdam, which {value!r} is not") from None
        return value

    @field_validator("shopping_allowed_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        """Check that each origin is written as browsers send it (RFC 6454), because origins are compared as text.

        On this machine alone, `*` may stand for the port: a developer's web server takes whichever is free.
        """
        for origin in value:
            if origin in LOOPBACK_ORIGINS:
                continue
            if not re.fullmatch(r"https?://[a-z0-9.\-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?", origin):
                raise ValueError(f"must be origins like https://shop.example, which {origin!r} is not")
        return value

    @field_validator("shopping_payment_url", "shopping_etickets_url")
    @classmethod
    def _fillable_url(cls, value: str, info: ValidationInfo) -> str:
        blank = "uid" if info.field_name == "shopping_payment_url" else "token"
        try:
            value.replace("{public_url}", "").format(**{blank: ""})
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError(f"may have {{public_url}} and {{{blank}}} to fill in, and no other braces") from None
        return value

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file, which allows one process only."""
        return self.database_url is None

    @property
    def gives_tokens_out(self) -> bool:
        """Whether this service has a token endpoint."""
        return self.connect_issuer is None if self.connect_token_endpoint is None else self.connect_token_endpoint

    def check_issuer(self) -> None:
        """Check the settings of the token issuer. Raises `SettingsError` if they contradict each other."""
        issuer, key_set = self.connect_issuer, self.connect_key_set
        if issuer is None and key_set is not None:
            raise SettingsError(f"{PREFIX}CONNECT_KEY_SET needs {PREFIX}CONNECT_ISSUER: whose keys are they?")
        if issuer == OWN_ISSUER:
            raise SettingsError(
                f"{PREFIX}CONNECT_ISSUER must not be {OWN_ISSUER!r}: clients of our own are known by that"
            )
        if issuer is not None and key_set is None and not issuer.startswith(("http://", "https://")):
            wanted = f"must begin with https://, or {PREFIX}CONNECT_KEY_SET say where its keys are"
            raise SettingsError(f"{PREFIX}CONNECT_ISSUER {wanted}, not {issuer!r}")

    def policy(self, contract: Contract) -> Policy:
        """Return the contract's policy in force. Raises `SettingsError` if the setting is no valid policy."""
        try:
            return policy_of(contract.name, self.policies.get(contract.name, contract.default_rules))
        except ValueError as error:
            raise SettingsError(f"{PREFIX}POLICIES: {error}") from None

    def check_policies(self, contracts: Sequence[Contract]) -> None:
        """Raise `SettingsError` for a policy that does not hold, or that is of none of the contracts."""
        names = [contract.name for contract in contracts]
        for name in sorted(self.policies.keys() - set(names)):
            raise SettingsError(f"{PREFIX}POLICIES: there is no contract {name!r}; there are {', '.join(names)}")
        for contract in contracts:
            self.policy(contract)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments given in code win over the environment, and the environment over the file."""
        assert isinstance(env_settings, EnvSettingsSource)
        given = env_settings.env_vars.items()
        env_settings.env_vars = {name: value for name, value in given if not is_of_a_service(name, value)}
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def read_settings(file: Path | None = None, *, contracts: Sequence[Contract] = CONTRACTS, **given: Any) -> Settings:
    """Read the settings, for a service that speaks `contracts`.

    Raises `SettingsError` with one sentence for each invalid setting.
    """
    if file is not None and not file.is_file():
        raise SettingsError(f"there is no settings file {file}")

    try:
        settings = _settings_of(file)(**{name: value for name, value in given.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    except UnreadableError as error:  # a setting that should be JSON; pydantic names it only within a sentence
        named = re.search(r'field "(\w+)"', str(error))
        name = PREFIX + (named[1].upper() if named else "POLICIES")
        raise SettingsError(f"{name} must be JSON, not {os.environ.get(name)!r}: {error.__cause__}") from None
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(one, file) for one in error.errors())) from None
    settings.check_policies(contracts)
    settings.check_issuer()
    if (twice := settings.sources_of_the_key()) is not None:
        raise SettingsError(twice)
    return settings


def misspelled_variables() -> list[str]:
    """Return a sentence for each variable that has Countermand's prefix and is no setting."""
    return unknown_variables({*Settings.model_fields, SETTINGS_FILE})


@cache
def _settings_of(file: Path | None) -> type[Settings]:
    """Return the settings class for a file. The class is cached: making it takes longer than reading the file."""

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    return FromFile


def _sentence(error: Mapping[str, Any], file: Path | None) -> str:
    name = "__".join(str(part) for part in error["loc"])
    said = f"{PREFIX}{name.upper()}" + (f" (or {name} in {file})" if file is not None else "")
    if error["type"] == "extra_forbidden":
        nearest = nearest_name(name, Settings.model_fields)
        hint = "docs/settings.md lists them all" if nearest is None else f"did you mean {nearest}?"
        return f"{said} is no setting; {hint}"
    wrong = error["msg"].removeprefix("Value error, ")
    # A URL can contain a password, and a key is a secret, so the message does not repeat them.
    return f"{said}: {wrong}" if name in _SECRET else f"{said}: {wrong}, not {error['input']!r}"
