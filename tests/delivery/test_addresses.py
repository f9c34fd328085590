"""Where events may be sent: a row for each form of an address, and names that lead elsewhere."""

from collections.abc import Callable, Sequence
from ipaddress import ip_network

import pytest

from countermand.actions.errors import FieldsError
from countermand.delivery.addresses import LONGEST_URL, AddressRules, Listener, RefusedAddressError
from countermand.delivery.forbidden_networks import private_network

PUBLIC_4, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

THIS_MACHINE = "must not lead to this machine (loopback)"
LINK_LOCAL = "must not lead to an address of the kind link-local"
METADATA = "must not lead to an address of the kind metadata"
MULTICAST = "must not lead to an address of the kind multicast"
UNSPECIFIED = "must not lead to an address of the kind unspecified"
SHARED = "must not lead to an address of the kind shared (carrier-grade NAT)"
RESERVED = "must not lead to an address of the kind reserved"
PRIVATE = "must not lead to a private address, unless the operator lists its network"
NO_URL = "must be a URL like https://shop.example/events"
FOUR_NUMBERS = "must have an IPv4 address as four decimal numbers"
HTTPS = "must begin with https://"
USER = "must have no user name or password"
CHARACTERS = "must have no space, backslash or control character"
LABELS = "must have a host name without a full stop at its end"
LETTERS = "must have a host name of letters, digits and hyphens"
ZONE = "without a zone"
PORT_0 = "must have a port from 1 to 65535"

ALLOWED = [
    f"https://{PUBLIC_4}/events",
    f"https://{PUBLIC_4}:8443/",
    f"https://[{PUBLIC_6}]/",
    f"https://[{PUBLIC_6}]:8443/events?of=orders",
    f"https://[::ffff:{PUBLIC_4}]/",  # IPv4-mapped
    "https://[64:ff9b::5db8:d70e]/",  # NAT64 of a public address: how an IPv6-only network reaches IPv4
    "https://[2002:5db8:d70e::1]/",  # 6to4 of a public address
    "https://172.15.255.255/",
    "https://172.32.0.0/",
    "https://100.63.255.255/",
    "https://100.128.0.0/",
    "https://shop.example/events",
    "HTTPS://SHOP.EXAMPLE/Events",
    "https://shop.example:/events",  # an empty port is the usual one
    "https://shop.example:65535/",
    "https://münchen.example/ä?ö=ü",
    "https://sub_domain.shop.example/",
    "https://shop.example/a@b?c=@d",
    "https://xn--mnchen-3ya.example",
    "https://1.shop.example/",
]
REFUSED = [
    # this machine
    ("https://127.0.0.1/", THIS_MACHINE),
    ("https://127.255.255.254:8443/", THIS_MACHINE),
    ("https://[::1]/", THIS_MACHINE),
    ("https://[0:0:0:0:0:0:0:1]/", THIS_MACHINE),
    ("https://[::ffff:127.0.0.1]/", THIS_MACHINE),
    ("https://[::ffff:7f00:1]/", THIS_MACHINE),
    ("https://[::127.0.0.1]/", RESERVED),  # IPv4-compatible
    ("https://[64:ff9b::7f00:1]/", "must not lead to an address of the kind loopback (NAT64)"),
    ("https://[2002:7f00:1::]/", "must not lead to an address of the kind loopback (6to4)"),
    ("https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", THIS_MACHINE),  # full width
    ("https://127。0。0。1/", THIS_MACHINE),  # ideographic full stops
    # other forms of IPv4 addresses
    ("https://2130706433/", FOUR_NUMBERS),
    ("https://0x7f000001/", FOUR_NUMBERS),
    ("https://0x7f.1/", FOUR_NUMBERS),
    ("https://127.1/", FOUR_NUMBERS),
    ("https://127.0.0.0x1/", FOUR_NUMBERS),
    ("https://0177.0.0.1/", FOUR_NUMBERS),
    ("https://017700000001/", FOUR_NUMBERS),
    ("https://127.0.0.01/", FOUR_NUMBERS),
    ("https://8.8.8.8.8/", FOUR_NUMBERS),
    ("https://256.256.256.256/", FOUR_NUMBERS),
    ("https://93.184.215.14./", LABELS),
    # unspecified, link-local, metadata
    ("https://0.0.0.0/", UNSPECIFIED),
    ("https://0.1.2.3/", UNSPECIFIED),
    ("https://[::]/", UNSPECIFIED),
    ("https://[::ffff:0.0.0.0]/", UNSPECIFIED),
    ("https://169.254.169.254/latest/meta-data/", METADATA),
    ("https://[::ffff:169.254.169.254]/", METADATA),
    ("https://[64:ff9b::a9fe:a9fe]/", "must not lead to an address of the kind metadata (NAT64)"),
    ("https://[2002:a9fe:a9fe::]/", "must not lead to an address of the kind metadata (6to4)"),
    ("https://168.63.129.16/", METADATA),
    ("https://100.100.100.200/", METADATA),
    ("https://192.0.0.192/", METADATA),
    ("https://[fd00:ec2::254]/", METADATA),
    ("https://[fd20:ce::254]/", METADATA),
    ("https://169.254.0.1/", LINK_LOCAL),
    ("https://[fe80::1]/", LINK_LOCAL),
    ("https://[febf::1]/", LINK_LOCAL),
    ("https://[fec0::1]/", LINK_LOCAL),  # site-local
    # multicast, shared, reserved
    ("https://224.0.0.1/", MULTICAST),
    ("https://239.255.255.250/", MULTICAST),
    ("https://[ff02::1]/", MULTICAST),
    ("https://[::ffff:224.0.0.1]/", MULTICAST),
    ("https://100.64.0.1/", SHARED),
    ("https://100.127.255.255/", SHARED),
    ("https://[64:ff9b::6440:1]/", "must not lead to an address of the kind shared (carrier-grade NAT) (NAT64)"),
    ("https://192.0.0.1/", RESERVED),
    ("https://192.0.2.1/", RESERVED),
    ("https://192.88.99.1/", RESERVED),
    ("https://198.18.0.1/", RESERVED),
    ("https://198.51.100.1/", RESERVED),
    ("https://203.0.113.1/", RESERVED),
    ("https://240.0.0.1/", RESERVED),
    ("https://255.255.255.255/", RESERVED),
    ("https://[100::1]/", RESERVED),
    ("https://[2001:db8::1]/", RESERVED),
    ("https://[2001:2::1]/", RESERVED),
    ("https://[3fff::1]/", RESERVED),
    ("https://[4000::1]/", RESERVED),
    ("https://[2001:0:5db8:d70e::1]/", "must not lead to an address of the kind Teredo"),
    ("https://[64:ff9b:1::5db8:d70e]/", "must not lead to an address of the kind translated (NAT64)"),
    # private
    ("https://10.0.0.1/", PRIVATE),
    ("https://172.16.0.1/", PRIVATE),
    ("https://172.31.255.255/", PRIVATE),
    ("https://192.168.1.1/", PRIVATE),
    ("https://[::ffff:10.0.0.1]/", PRIVATE),
    ("https://[fc00::1]/", PRIVATE),
    ("https://[fdff::1]/", PRIVATE),
    ("https://[64:ff9b::a00:1]/", "must not lead to an address of the kind private (NAT64)"),
    ("https://[2002:a00:1::]/", "must not lead to an address of the kind private (6to4)"),
    # what is no URL that a receiver could have
    ("", NO_URL),
    ("shop.example", NO_URL),
    ("//shop.example/", NO_URL),
    ("/events", NO_URL),
    ("https:///events", NO_URL),
    ("https:/shop.example", NO_URL),
    ("https://", NO_URL),
    ("https://:443/", NO_URL),
    ("ftp://shop.example/", NO_URL),
    ("file:///etc/passwd", NO_URL),
    ("gopher://shop.example/", NO_URL),
    ("https://[::1", NO_URL),
    ("https://[1.2.3.4]/", NO_URL),
    ("https://[::1]x/", NO_URL),
    ("https://shop.example:port/", NO_URL),
    ("https://shop.example:443:80/", NO_URL),
    ("https://shop.example:65536/", NO_URL),
    ("https://shop.example:-1/", NO_URL),
    ("https://shop.example:0/", PORT_0),
    ("http://shop.example/", HTTPS),
    (f"http://{PUBLIC_4}/", HTTPS),
    ("http://2130706433/", FOUR_NUMBERS),
    ("https://user:password@shop.example/", USER),
    ("https://user@shop.example/", USER),
    ("https://@shop.example/", USER),
    ("https://:@shop.example/", USER),
    ("https://shop.example@127.0.0.1/", USER),
    ("https://shop.example\\@127.0.0.1/", CHARACTERS),
    ("https:\\\\shop.example\\", CHARACTERS),
    ("https://shop.example/a b", CHARACTERS),
    ("https://shop.example/\n", CHARACTERS),
    ("https://shop.example/\r\nhost: other", CHARACTERS),
    ("https://shop\t.example/", CHARACTERS),
    ("https://shop.example/\x00", CHARACTERS),
    ("https://shop.example/\u202e", CHARACTERS),
    (" https://shop.example/", CHARACTERS),
    ("https://shop.example./", LABELS),
    ("https://localhost./", LABELS),
    ("https://shop..example/", LABELS),
    ("https://.shop.example/", LABELS),
    (f"https://{'a' * 64}.example/", LABELS),
    (f"https://{'a.' * 127}aa/", LABELS),
    ("https://%31%32%37.0.0.1/", ZONE),
    ("https://shop%2eexample/", ZONE),
    ("https://[fe80::1%25eth0]/", ZONE),
    ("https://[fe80::1%eth0]/", ZONE),
    (f"https://[{PUBLIC_6}%25eth0]/", ZONE),
    ("https://[v1.x]/", NO_URL),
    ("https://sh!op.example/", LETTERS),
    ("https://shop.example/#here", "must have no fragment"),
    (f"https://shop.example/{'a' * LONGEST_URL}", f"must have at most {LONGEST_URL} characters"),
]


def names(**addresses: Sequence[str] | str) -> Callable[..., object]:
    """A resolver that knows these names, in `.example`, and `localhost`. A text is the error that it raises."""

    async def resolve(host: str, _: int) -> Sequence[str]:
        found = addresses.get(host.removesuffix(".example"), [PUBLIC_4])
        if isinstance(found, str):
            raise OSError(found)
        return found

    return resolve


def rules(**given) -> AddressRules:
    return AddressRules(**{"resolver": names(localhost=["127.0.0.1"]), **given})


async def why(url: str, **given) -> str | None:
    try:
        await rules(**given).check(url)
    except FieldsError as error:
        ((field, sentence),) = error.errors
        assert field == "url"
        return sentence
    return None


@pytest.mark.parametrize("url", ALLOWED)
async def test_an_address_of_the_open_internet_may_be_called(url: str):
    assert await why(url) is None


@pytest.mark.parametrize(("url", "said"), REFUSED)
async def test_every_other_form_is_refused_in_a_sentence_that_has_the_value(url: str, said: str):
    sentence = await why(url)
    assert sentence is not None
    assert sentence.startswith("url must ")
    assert said in sentence
    assert repr(url)[:90].rstrip("'\"") in sentence
    assert len(sentence) < 500
    assert sentence.isprintable()


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1"])
async def test_a_name_is_refused_if_any_of_its_addresses_is(address: str):
    for found in ([address], [PUBLIC_4, address], [address, PUBLIC_6], [PUBLIC_6, PUBLIC_4, address]):
        sentence = await why("https://shop.example/", resolver=names(shop=found))
        assert sentence is not None
        assert "'https://shop.example/', by an address of its name," in sentence
        assert address not in sentence, "a subscriber must not learn what names inside the network resolve to"
    assert await why("https://shop.example/", resolver=names(shop=[PUBLIC_6, PUBLIC_4])) is None


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_the_second_time():
    found = [[PUBLIC_4], ["127.0.0.1"]]

    async def resolve(*_: object) -> Sequence[str]:
        return found.pop(0)

    same = rules(resolver=resolve)
    await same.check("https://shop.example/")
    with pytest.raises(RefusedAddressError, match="loopback") as raised:
        await same.resolve("shop.example", 443)
    assert raised.value.found == "127.0.0.1"
    assert found == []


@pytest.mark.parametrize(("found", "said"), [("no such name", "does not resolve: no such name"), ([], "no address")])
async def test_a_name_that_does_not_resolve_is_refused(found: list[str] | str, said: str):
    assert said in (await why("https://shop.example/", resolver=names(shop=found)) or "")


@pytest.mark.parametrize(
    ("listed", "url", "may"),
    [
        ("10.2.0.0/16", "https://10.2.255.255/", True),
        ("10.2.0.0/16", "https://10.3.0.0/", False),
        ("10.2.0.0/16", "https://[::ffff:10.2.0.1]/", True),
        ("10.2.0.0/16", "https://192.168.0.1/", False),
        ("192.168.7.7/32", "https://192.168.7.7/", True),
        ("192.168.7.7/32", "https://192.168.7.8/", False),
        ("fd12::/16", "https://[fd12::1]/", True),
        ("fd12::/16", "https://[fd13::1]/", False),
        ("fc00::/7", "https://[fd00:ec2::254]/", False),  # metadata, whatever is listed
        ("10.0.0.0/8", "http://10.2.0.1/", False),  # private does not mean without TLS
    ],
)
async def test_a_private_network_may_be_called_if_it_is_listed(listed: str, url: str, *, may: bool):
    assert (await why(url, private=[private_network(listed)]) is None) is may


@pytest.mark.parametrize("text", ["127.0.0.0/8", "0.0.0.0/0", "10.0.0.0/7", "169.254.0.0/16", "100.64.0.0/10", "::/0"])
def test_only_private_networks_can_be_listed(text: str):
    assert ip_network(text)
    with pytest.raises(ValueError, match="is not within"):
        private_network(text)


@pytest.mark.parametrize("text", ["10.2.0.1/16", "ten", "10.2.0.0/33"])
def test_what_is_no_network_cannot_be_listed(text: str):
    with pytest.raises(ValueError, match=r"."):
        private_network(text)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
async def test_this_machine_may_be_called_only_if_the_setting_says_so(scheme: str, host: str):
    url = f"{scheme}://{host}:9000/events"
    assert await why(url) is not None
    assert await why(url, loopback=True) is None


async def test_with_the_setting_for_this_machine_no_other_address_may_be_called_without_tls():
    for host in ("shop.example", PUBLIC_4, "10.0.0.1", "localhost.shop.example"):
        assert HTTPS in (await why(f"http://{host}/", loopback=True, private=[private_network("10.0.0.0/8")]) or "")
    lying = names(localhost=[PUBLIC_4])
    assert await why("http://localhost/", loopback=True, resolver=lying) is not None


OWN = "must not be an address of this service"


@pytest.mark.parametrize(
    ("listener", "url", "is_own"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080/", True),
        (("127.0.0.1", 8080), "http://localhost:8080/", True),
        (("127.0.0.1", 8080), "http://[::1]:8080/", True),
        (("127.0.0.1", 8080), "http://127.9.9.9:8080/", True),
        (("127.0.0.1", 8080), "http://[::ffff:127.0.0.1]:8080/", True),
        (("127.0.0.1", 8080), "http://127.0.0.1:8081/", False),
        (("localhost", 8080), "http://127.0.0.1:8080/", True),
        (("::1", 8080), "http://127.0.0.1:8080/", True),
        (("0.0.0.0", 8080), "http://127.0.0.1:8080/", True),
        (("0.0.0.0", 8080), "https://10.0.0.1:8080/", False),  # not an address of this machine
        (("::", 8080), "http://[::1]:8080/", True),
        (("10.0.0.1", 8080), "https://10.0.0.1:8080/", True),
        (("10.0.0.1", 8080), "https://10.0.0.2:8080/", False),
        (("10.0.0.1", 8080), "http://127.0.0.1:8080/", False),
        (("127.0.0.1", 443), "https://localhost/", True),
        (("orders.example", 443), "https://orders.example/events", True),
        (("orders.example", 443), "https://ORDERS.example:443/events", True),
        (("orders.example", 443), "https://orders.example:8443/events", False),
        (("orders.example", 443), "https://shop.orders.example/", False),
    ],
)
async def test_the_service_never_calls_itself(listener: tuple[str, int], url: str, *, is_own: bool):
    host, port = listener
    given = {"loopback": True, "private": [private_network("10.0.0.0/8")], "own": [Listener(host=host, port=port)]}
    sentence = await why(url, **given)
    assert (OWN in (sentence or "")) is is_own
    assert is_own or sentence is None


async def test_a_name_that_leads_to_the_service_itself_is_refused():
    given = {"loopback": True, "own": [Listener(host="127.0.0.1", port=8443)]}
    assert OWN in (await why("https://shop.example:8443/", resolver=names(shop=["127.0.0.1"]), **given) or "")
    assert await why("https://shop.example:9000/", resolver=names(shop=["127.0.0.1"]), **given) is None


async def test_behind_a_proxy_names_are_left_to_the_proxy_and_addresses_are_not():
    unasked = names(shop="nobody may ask", localhost="nobody may ask")
    assert await why("https://shop.example/", proxied=True, resolver=unasked) is None
    assert THIS_MACHINE in (await why("https://127.0.0.1/", proxied=True) or "")
    assert METADATA in (await why("https://169.254.169.254/", proxied=True) or "")
    for url in ("https://localhost/", "https://a.localhost:8080/"):
        assert "must not lead to this machine" in (await why(url, proxied=True, resolver=unasked) or "")
