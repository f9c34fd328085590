"""A consumer: the person whom a ticket order or a ticket is for."""

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType, structs


class Consumer(Struct, frozen=True, kw_only=True):
    """What a buyer said about a consumer. A field that was not given is UNSET, and no document has it.

    `uid` names a consumer that the client stored. `country` is ISO 3166-1 alpha-2, `date_of_birth` ISO 8601, `gender`
    ISO 5218. `ip` belongs to the order; no stored consumer has it.
    """

    uid: str | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    date_of_birth: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    gender: int | UnsetType = UNSET
    phone_number: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    postal_code: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    cognito_user: str | UnsetType = UNSET
    ip: str | UnsetType = UNSET

    def given(self) -> Mapping[str, str | int]:
        """Return the fields that were given, by name."""
        return {name: value for name, value in structs.asdict(self).items() if value is not UNSET}

    def without(self, *names: str) -> "Consumer":
        """Return the same consumer without these fields."""
        return structs.replace(self, **dict.fromkeys(names, UNSET))

    def revised(self, changes: "Consumer") -> "Consumer":
        """Return the same consumer; the given fields of `changes` replace its own."""
        return structs.replace(self, **changes.given())
