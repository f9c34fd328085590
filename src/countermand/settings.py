"""What can an operator set? One frozen value, read once from the environment and a file; units are in the names."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError as UnreadableError

from countermand.domain.contract import Contract
from countermand.domain.policy import DEFAULT_RULES, Policy, policy_of

PREFIX: Final = "COUNTERMAND_"


class SettingsError(Exception):
    """A setting does not hold. The message names it and its value."""


class Settings(BaseSettings):
    """Every setting, with its default. In the environment each has the prefix `COUNTERMAND_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    database_path: Path = Field(Path("countermand.sqlite3"), description="The SQLite database")
    database_url: SecretStr | None = Field(
        None, description="A PostgreSQL database to use instead: postgresql://user:password@host/name"
    )
    database_distributed: bool = Field(
        False, description="PostgreSQL with tables distributed by order (Citus): a batch is written in parts"
    )
    database_connections: int = Field(
        10, ge=1, le=1000, description="PostgreSQL: connections a process, beside those that cancel"
    )
    host: str = Field("127.0.0.1", description="The address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one")
    public_url: str | None = Field(
        None, description="The address clients use, without a trailing slash; by default where it listens"
    )

    connect_issuer: str | None = Field(None, description="The `iss` of access tokens for connect")
    connect_key_set: str | None = Field(None, description="The issuer's key set: a file, or an http(s) URL")
    connect_client_claim: Literal["clientId", "userId", "azp", "sub"] = Field(
        "clientId", description="The claim that names the client"
    )
    connect_audience: str | None = Field(None, description="What a token's `aud` must have; by default not asked")
    key_set_refresh_s: float = Field(300, gt=0, description="How often key sets are read again")
    client_refresh_s: float = Field(2, ge=0, le=60, description="How soon a revoked client counts as revoked")

    shopping_documentation_url: str = Field(
        "https://shopping-api-docs.paylogic.com/documentation", description="Where profiles and curies lead"
    )
    shopping_payment_url: str = Field(
        "{public_url}/payments/{uid}", description="The page a buyer pays on: {public_url} and {uid} are filled in"
    )
    shopping_etickets_url: str = Field(
        "{public_url}/etickets/{token}",
        description="The page with the e-tickets: {public_url} and {token} are filled in",
    )

    policies: Mapping[Contract, list[dict[str, Any]]] = Field(
        default_factory=dict, description="By contract: the list of rules that decide, each a name and its parameters"
    )

    batch_cap: int = Field(512, ge=1, le=4096, description="Cancellations in one transaction at most")
    queue_cap: int = Field(10_000, ge=1, description="Cancellations that may wait; beyond it, 503")
    flights: int = Field(1, ge=1, le=256, description="PostgreSQL: batches a process writes at once")
    slow_batch_s: float = Field(
        0.25, gt=0, description="PostgreSQL: after how long the next batch no longer waits for one under way"
    )
    database_connect_limit_s: float = Field(3, gt=0, description="PostgreSQL: how long to try to reach the server")
    database_busy_limit_s: float = Field(
        5, gt=0, description="How long to wait in the queue, for a connection, or for what another has locked"
    )
    database_statement_limit_s: float = Field(10, gt=0, description="PostgreSQL: how long a statement may take")
    settle_limit_s: float = Field(10, gt=0, description="How long to look for the outcome of a commit that was cut off")
    stop_limit_s: int = Field(30, ge=1, description="How long a stop waits for requests under way")
    idempotency_kept_h: int = Field(24, ge=1, le=24 * 366, description="How long an Idempotency-Key is kept")
    delivered_kept_d: int = Field(30, ge=1, le=36_500, description="How long a fact is kept once it is delivered")
    refusals_kept_d: int = Field(400, ge=1, le=36_500, description="How long a refused cancellation is kept")
    cancellations_kept_d: int | None = Field(
        None, ge=1, le=36_500, description="How long the record of a cancellation is kept; by default for ever"
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Which log lines are written")
    log_requests: bool = Field(True, description="A line for each request at level info; otherwise for failures alone")
    metrics: bool = Field(True, description="Whether /metrics is answered, to whoever can reach the port")
    traces_url: str | None = Field(
        None, description="Where traces are sent: an OTLP/HTTP endpoint, with its path; by default nowhere"
    )
    traces_share: float = Field(1, ge=0, le=1, description="The part of requests that is traced, unless a caller says")

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://; an SQLite file is named by DATABASE_PATH")
        return value if url else None

    @field_validator("public_url", "shopping_documentation_url", "traces_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return None if value is None else value.rstrip("/")

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
        """Whether the database is one file, for one process."""
        return self.database_url is None

    def policy(self, contract: Contract) -> Policy:
        """The policy in force for a contract. Raises `SettingsError`."""
        try:
            return policy_of(contract, self.policies.get(contract, DEFAULT_RULES[contract]))
        except ValueError as error:
            raise SettingsError(f"{PREFIX}POLICIES: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code wins over the environment, and that over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def read_settings(file: Path | None = None, **given: Any) -> Settings:
    """Read the settings. Raises `SettingsError` with a sentence for each that does not hold."""
    if file is not None and not file.is_file():
        raise SettingsError(f"there is no settings file {file}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        settings = FromFile(**{name: value for name, value in given.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    except UnreadableError as error:  # POLICIES is the one setting that is JSON
        name = f"{PREFIX}POLICIES"
        raise SettingsError(f"{name} must be JSON, not {os.environ.get(name)!r}: {error.__cause__}") from None
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(one, file) for one in error.errors())) from None
    for contract in Contract:
        settings.policy(contract)
    return settings


def _sentence(error: Any, file: Path | None) -> str:
    name = "__".join(str(part) for part in error["loc"])
    said = f"{PREFIX}{name.upper()}" + (f" (or {name} in {file})" if file is not None else "")
    if error["type"] == "extra_forbidden":
        return f"{said} is no setting; see: countermand serve --help"
    wrong = error["msg"].removeprefix("Value error, ")
    # An address has a password in it: it is told where to look, and not repeated.
    return f"{said}: {wrong}" if error["loc"] == ("database_url",) else f"{said}: {wrong}, not {error['input']!r}"
