"""Which orders can be placed? The fields of `orders/create`, each by itself and in relation to others.

All errors are reported at once: the allowed values of each field (`CreateRequest`), and the conditions between
fields.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from countermand.actions.errors import FieldsError
from countermand.contracts.connect.create_messages import CreateRequest
from countermand.contracts.connect.versions import required_from
from countermand.contracts.http.body import read, shown

Given = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Needed:
    """A field that must be present (or must equal `value`) if `when` holds for the other fields."""

    field: str
    when: Callable[[Given], bool]
    because: str
    value: object = None

    def is_met(self, given: Given) -> bool:
        found = given.get(self.field)
        return not self.when(given) or (found is not None if self.value is None else found == self.value)


def _with_avc(given: Given) -> bool:
    return given.get("avcIdForTransfer") is not None


def _with_transfer(given: Given) -> bool:
    return given.get("transferType") is not None


def _disowned(given: Given) -> bool:
    return given.get("potsServiceOwner") is False


def _on_port(given: Given) -> bool:
    return given.get("portId") is not None


def _sent_elsewhere(given: Given) -> bool:
    return given.get("ntdSameAddressDelivery") is False


_ELSEWHERE: Final = "where the hardware is not sent to the service's own address"
_RULES: Final = (
    # documented: taking over infrastructure in use needs both fields
    _Needed("transferType", _with_avc, "where there is an avcIdForTransfer"),
    _Needed("avcIdForTransfer", _with_transfer, "where there is a transferType"),
    # inferred: a service is taken over on its port or pair, and a port belongs to an NTD
    _Needed("infrastructureId", _with_transfer, "where there is a transferType"),
    _Needed("infrastructureId", _on_port, "where there is a portId"),
    # documented: a customer who does not own the telephone service must waive it
    _Needed("potsWaiver", _disowned, "where potsServiceOwner is false", value=True),
    # inferred from a third party's client
    *(_Needed(f"ntd{part}", _sent_elsewhere, _ELSEWHERE) for part in ("AddressLine1", "Suburb", "Postcode", "State")),
)


def create_request(decoded: object, version: int, plans: Collection[str]) -> CreateRequest:
    """Read the requested order, for one of the `plans` if there are any. Raises `FieldsError` with every error."""
    wanted, errors = None, {}
    try:
        wanted = read(CreateRequest, decoded)
    except FieldsError as error:
        errors = dict(error.errors)
    if isinstance(decoded, dict):
        for field, sentence in _across(decoded, version, plans):
            errors.setdefault(field, sentence)  # an error of the field itself has precedence
    if wanted is None or errors:
        raise FieldsError(list(errors.items()))
    return wanted


def _across(given: Given, version: int, plans: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the errors between fields, of fields that the version requires, and of a plan that is not sold."""
    for field, since in required_from("createOrder").items():
        if version >= since and given.get(field) is None:
            yield field, f"{field} is missing; it is required from version {since} on"
    for rule in _RULES:
        if not rule.is_met(given):
            what = "is needed" if rule.value is None else "must be true"
            yield rule.field, f"{rule.field} {what} {rule.because}"
    plan = given.get("planName")
    if plans and isinstance(plan, str) and plan not in plans:
        yield "planName", f"planName must be one of {', '.join(sorted(plans))}, not {shown(plan)}"
