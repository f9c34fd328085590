"""What does the body of a new order look like in the connect contract? The Struct decodes, checks and describes it."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from countermand.contracts.connect.versions import required_from
from countermand.contracts.http.typed_text import EMAIL_IN_WORDS, EMAIL_WITH_DOMAIN_PATTERN, Phone

Short = Annotated[str, Meta(min_length=1, max_length=100)]


def _needed(operation: str, field: str, said: str) -> Meta:
    return Meta(description=f"{said}. Required from version {required_from(operation)[field]} on")


State = Literal["ACT", "NSW", "NT", "QLD", "SA", "TAS", "VIC", "WA"]


class CreateRequest(Struct, kw_only=True):
    """An order for a service. Names and limits are documented, except those marked.

    Some fields depend on each other; an answer with errors names them all. The `ntd…` fields, `portId`, `requireVLAN`
    and `vlanId` are from a third party's client. Patterns and numbers of characters that are not documented are
    inferred.
    """

    sourceType: Annotated[Literal["nbn"], Meta(description="The network that the service runs on")]
    contactName: Annotated[
        str,
        Meta(
            description="The person whom the network may ask about the order and the visit", min_length=1, max_length=40
        ),
    ]
    contactPhone: Phone
    contactEmail: Annotated[
        str,
        Meta(
            description="The e-mail address of that person; blanks around it are removed",
            max_length=50,
            pattern=EMAIL_WITH_DOMAIN_PATTERN,
            examples=["jo@example.com"],
            extra=EMAIL_IN_WORDS,
        ),
    ]
    remoteQualificationSearchId: Annotated[
        Short,
        Meta(
            description="The network's id of the qualification that found the location; any text is taken",
            examples=["QS000000000001"],
        ),
    ]
    qualificationSearchId: Annotated[
        Short, Meta(description="This API's id of that qualification; any text is taken", examples=["1"])
    ]
    locationId: Annotated[
        str,
        Meta(
            description="The location of the service: LOC and twelve digits",
            pattern=r"^LOC[0-9]{12}$(?!\n)",
            examples=["LOC380100009114"],
        ),
    ]
    planName: Annotated[
        Short,
        Meta(
            description="The plan, by its name. If the operator has described plans, one of these",
            examples=["Home Fast 100/20"],
        ),
    ]
    term: Annotated[int, Meta(ge=0, le=120, description="The length of the contract in months", examples=[1])]
    aggregationMethod: Annotated[
        Literal["L2TP", "ETHERNET"] | None, _needed("createOrder", "aggregationMethod", "How the traffic reaches you")
    ] = None
    customerReference: (
        Annotated[str, Meta(description="Your own reference, shown in the order as customerRef", max_length=200)] | None
    ) = None
    quoteName: (
        Annotated[str, Meta(description="The quote that the order came from; shown in the order", max_length=50)] | None
    ) = None
    remoteOrderId: Annotated[
        Short | None, Meta(description="The id of the order in another system; kept, but not shown")
    ] = None
    trafficClass: (
        Annotated[
            str,
            Meta(
                description="The class of the traffic, such as tc4; shown in the order", max_length=20, examples=["tc4"]
            ),
        ]
        | None
    ) = None
    productType: (
        Annotated[
            str,
            Meta(
                description="The kind of access product, such as Access Only; kept, but not shown",
                max_length=50,
                examples=["Access Only"],
            ),
        ]
        | None
    ) = None
    restorationSla: (
        Annotated[
            str,
            Meta(
                description="How fast a fault must be repaired; shown in the order as eSla",
                max_length=50,
                examples=["Standard"],
            ),
        ]
        | None
    ) = None
    infrastructureId: (
        Annotated[
            str,
            Meta(
                pattern=r"^(NTD|CPI)[0-9]{12}$(?!\n)",
                description=(
                    "The NTD (NTD and twelve digits) or copper pair (CPI and twelve digits) at the location. "
                    "Required with portId or transferType"
                ),
                examples=["NTD000000000123"],
            ),
        ]
        | None
    ) = None
    portId: Annotated[int, Meta(description="The port of the NTD, from 1 to 8", ge=1, le=8)] | None = None
    avcIdForTransfer: (
        Annotated[
            str,
            Meta(
                pattern=r"^AVC[0-9]{12}$(?!\n)",
                description=(
                    "The virtual circuit to take over: AVC and twelve digits. Required if the infrastructure is in "
                    "use, together with transferType"
                ),
                examples=["AVC000000000123"],
            ),
        ]
        | None
    ) = None
    transferType: (
        Annotated[
            Literal["SERVICE_TRANSFER", "CONNECT_OUTSTANDING"],
            Meta(
                description=(
                    "How a service in use is taken over. Required if the infrastructure is in use, together with "
                    "avcIdForTransfer"
                )
            ),
        ]
        | None
    ) = None
    potsWaiver: Annotated[
        bool | None, Meta(description="Whether the customer agrees to lose the telephone service on the copper pair")
    ] = None
    potsServiceOwner: Annotated[
        bool | None,
        Meta(
            description=(
                "Whether the customer owns the telephone service on the copper pair. If false, potsWaiver must be true"
            )
        ),
    ] = None
    requireVLAN: Annotated[bool | None, Meta(description="Whether the service needs a VLAN tag")] = None
    vlanId: (
        Annotated[int, Meta(description="The VLAN tag, from 1 to 4094; shown in the order", ge=1, le=4094)] | None
    ) = None
    ntdInstallation: Annotated[
        Literal["nbn-tech", "nbn-no-action"] | None,
        Meta(description="Whether a technician of the network installs the NTD, or nothing is to be installed"),
    ] = None
    ntdOption: (
        Annotated[Short, Meta(description="The model of the NTD, such as NTD_2.5", examples=["NTD_2.5"])] | None
    ) = None
    ntdName: Annotated[Short | None, Meta(description="Who receives the NTD")] = None
    ntdPhoneNumber: Annotated[Phone | None, Meta(description="The telephone number of the receiver")] = None
    ntdSameAddressDelivery: Annotated[
        bool | None,
        Meta(
            description=(
                "Whether the NTD is delivered to the location itself. If false, the ntdAddressLine1, ntdSuburb, "
                "ntdPostcode and ntdState are required"
            )
        ),
    ] = None
    ntdBusinessName: Annotated[Short | None, Meta(description="The business at the delivery address")] = None
    ntdAddressLine1: Annotated[Short | None, Meta(description="The first line of the delivery address")] = None
    ntdAddressLine2: (
        Annotated[str, Meta(description="The second line of the delivery address", max_length=100)] | None
    ) = None
    ntdSuburb: Annotated[Short | None, Meta(description="The suburb of the delivery address")] = None
    ntdPostcode: (
        Annotated[
            str,
            Meta(
                description="The postcode of the delivery address: four digits",
                pattern=r"^[0-9]{4}$(?!\n)",
                examples=["2000"],
            ),
        ]
        | None
    ) = None
    ntdState: Annotated[State | None, Meta(description="The state or territory of the delivery address")] = None
    ntdAuthorityToLeave: Annotated[
        bool | None, Meta(description="Whether the carrier may leave the NTD without a signature")
    ] = None
    ntdDeliveryInstructions: (
        Annotated[str, Meta(description="What the carrier should know about the delivery", max_length=500)] | None
    ) = None
