"""The order document: what an order was placed with, and what it cost then. The store keeps it as JSON.

The names of the fields in JSON are those of `rename`, or the same as here. A field that may be UNSET is left out of the
document if it was not given. A field that may be None is written as null in a ticket order, and left out of a service
order. A document may have more fields than this version knows.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from countermand.domain.known import Unknown
from countermand.domain.money import LARGEST_MINOR, Money
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.ticketing.bill import LinePrice
from countermand.domain.ticketing.consumer import Consumer
from countermand.domain.ticketing.seating import Seat

Minor = Annotated[int, Meta(ge=0, le=LARGEST_MINOR)]  # whole minor units
Currency = Annotated[str, Meta(min_length=3, max_length=3)]


class PlanSnapshot(Struct, frozen=True, kw_only=True):
    """A plan as it was when the order was placed: charges in Australian dollars ("75.00"), speeds in Mbit/s."""

    one_time_charge: str | None = None
    monthly_charge: str | None = None
    speed_down_mbit_s: int | None = None
    speed_up_mbit_s: int | None = None


_SERVICE_NAMES: Final = {
    "source_type": "sourceType",
    "contact_name": "contactName",
    "contact_phone": "contactPhone",
    "contact_email": "contactEmail",
    "remote_qualification_search_id": "remoteQualificationSearchId",
    "qualification_search_id": "qualificationSearchId",
    "location_id": "locationId",
    "plan_name": "planName",
    "aggregation_method": "aggregationMethod",
    "customer_reference": "customerReference",
    "quote_name": "quoteName",
    "remote_order_id": "remoteOrderId",
    "traffic_class": "trafficClass",
    "product_type": "productType",
    "restoration_sla": "restorationSla",
    "infrastructure_id": "infrastructureId",
    "port_id": "portId",
    "avc_id_for_transfer": "avcIdForTransfer",
    "transfer_type": "transferType",
    "pots_waiver": "potsWaiver",
    "pots_service_owner": "potsServiceOwner",
    "require_vlan": "requireVLAN",
    "vlan_id": "vlanId",
    "ntd_installation": "ntdInstallation",
    "ntd_option": "ntdOption",
    "ntd_name": "ntdName",
    "ntd_phone_number": "ntdPhoneNumber",
    "ntd_same_address_delivery": "ntdSameAddressDelivery",
    "ntd_business_name": "ntdBusinessName",
    "ntd_address_line1": "ntdAddressLine1",
    "ntd_address_line2": "ntdAddressLine2",
    "ntd_suburb": "ntdSuburb",
    "ntd_postcode": "ntdPostcode",
    "ntd_state": "ntdState",
    "ntd_authority_to_leave": "ntdAuthorityToLeave",
    "ntd_delivery_instructions": "ntdDeliveryInstructions",
    "service_id": "serviceId",
}


class ServiceOrderDetails(Struct, frozen=True, kw_only=True, omit_defaults=True, rename=_SERVICE_NAMES):
    """What an order for a telecom service was placed with. `service_id` is the number of the service it is for."""

    source_type: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    remote_qualification_search_id: str | None = None
    qualification_search_id: str | None = None
    location_id: str | None = None
    plan_name: str | None = None
    term: int | None = None  # months
    aggregation_method: str | None = None
    customer_reference: str | None = None
    quote_name: str | None = None
    remote_order_id: str | None = None
    traffic_class: str | None = None
    product_type: str | None = None
    restoration_sla: str | None = None
    infrastructure_id: str | None = None
    port_id: int | None = None
    avc_id_for_transfer: str | None = None
    transfer_type: str | None = None
    pots_waiver: bool | None = None
    pots_service_owner: bool | None = None
    require_vlan: bool | None = None
    vlan_id: int | None = None
    ntd_installation: str | None = None
    ntd_option: str | None = None
    ntd_name: str | None = None
    ntd_phone_number: str | None = None
    ntd_same_address_delivery: bool | None = None
    ntd_business_name: str | None = None
    ntd_address_line1: str | None = None
    ntd_address_line2: str | None = None
    ntd_suburb: str | None = None
    ntd_postcode: str | None = None
    ntd_state: str | None = None
    ntd_authority_to_leave: bool | None = None
    ntd_delivery_instructions: str | None = None
    plan: PlanSnapshot | None = None
    service_id: int | None = None


class ExternalPurchase(Struct, frozen=True, kw_only=True):
    """Something that the buyer bought elsewhere. It is never part of a total."""

    title: dict[str, str]
    product_reference: str
    unit_price_minor: int
    currency: str
    quantity: int


class ShippingAddress(Struct, frozen=True, kw_only=True):
    """The address that the tickets are sent to."""

    address: str | UnsetType = UNSET
    postal_code: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    state: str | UnsetType = UNSET


class ChosenMethod(Struct, frozen=True, kw_only=True):
    """A way to pay, or to send the tickets, as it was when the order was placed."""

    uid: str
    name: dict[str, str]
    image: str | None = None
    costs_minor: int
    currency: str
    pickup_location: str | None = None


class TicketOrderGiven(Struct, frozen=True, kw_only=True):
    """The part of a ticket order's request that the order keeps unchanged."""

    consumer: Consumer | None = None
    external_purchases: tuple[ExternalPurchase, ...] = ()
    external_reference: str | None = None
    redirect_url: str | None = None
    opt_in: bool | None = None
    shipping_address: ShippingAddress | UnsetType = UNSET


class TicketOrderDetails(TicketOrderGiven, frozen=True, kw_only=True):
    """What an order for tickets was placed with, and what it cost then, in minor units of `currency`.

    `prices` has an entry for each line of the order, None if the price is not known. The keys of `seats` and
    `ticket_consumers` are the tickets' uids. A holder of the `etickets_token` can see the tickets, and a holder of the
    `order_token` the order.
    """

    currency: Currency
    product_total_minor: Minor
    service_costs_minor: Minor
    grand_total_minor: Minor
    donation_minor: Minor | UnsetType = UNSET
    prices: tuple[LinePrice | None, ...] | UnsetType = UNSET
    vouchers: tuple[str, ...] | UnsetType = UNSET
    payment_method: ChosenMethod | None = None
    shipping_method: ChosenMethod | None = None
    etickets_token: str | UnsetType = UNSET
    order_token: str | UnsetType = UNSET
    ticket_consumers: dict[str, Consumer] | UnsetType = UNSET
    seats: dict[str, Seat] | UnsetType = UNSET
    payment_url: str | UnsetType = UNSET
    etickets_url: str | UnsetType = UNSET

    @property
    def total(self) -> Money:
        """What the buyer pays for the whole order."""
        return Money(minor=self.grand_total_minor, currency=self.currency)


class UnknownDetails(Struct, frozen=True):
    """A document that this version cannot read, because a newer version wrote it in another form."""


OrderDetails = ServiceOrderDetails | TicketOrderDetails | UnknownDetails


def details_type_of(kind: OrderKind | Unknown) -> type[ServiceOrderDetails] | type[TicketOrderDetails] | None:
    """Return the type of document that an order of this kind has, or None if this node does not know the kind."""
    match kind:
        case OrderKind.SERVICE:
            return ServiceOrderDetails
        case OrderKind.TICKET:
            return TicketOrderDetails
        case _:
            return None
