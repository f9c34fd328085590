"""Ticket orders of every form: each function places one over HTTP, and gives its uid."""

from sqlalchemy import update

from countermand.storage.tables.catalogue import products
from support.ticket_shop import Shop


async def plain(shop: Shop) -> str:
    return await placed(shop, {await shop.product(name={"en": 'Tïcket \u2028 "x"', "nl": ""}): 2})


async def seated(shop: Shop) -> str:
    return await placed(shop, {await shop.seated(5): 2, await shop.product(): 1})


async def combined(shop: Shop) -> str:
    day, locker = await shop.product(price_minor=700), await shop.product()
    return await placed(shop, {await shop.combo({day: 2, locker: 1}, stock=5, service_costs_minor=100): 2, day: 1})


async def with_a_voucher(shop: Shop) -> str:
    return await placed(shop, {await shop.product(): 2}, vouchers=[await shop.voucher(discount_percent=50)])


async def at_an_older_price(shop: Shop) -> str:
    product = await shop.product(price_minor=1000)
    order = await placed(shop, {product: 1})
    async with shop.world.database.store.transaction() as tx:
        await tx.run(update(products).where(products.c.uid == product).values(price_minor=1500, currency="GBP"))
    return order


async def with_everything_that_a_request_can_have(shop: Shop) -> str:
    sent = await shop.pay_by("shipping", costs_minor=50)
    return await placed(
        shop,
        {await shop.product(): 3},
        shipping_method=sent,
        payment_method=await shop.pay_by(costs_minor=100),
        external_purchases=[
            {
                "title": {"en": "Dïnner", "nl": ""},
                "product_reference": "A \\ B",
                "unit_price": {"amount": 12.5, "currency": "EUR"},
                "quantity": 3,
            }
        ],
        external_reference="CO-115",
        redirect_url="https://shop.example/back?a=1&b=%C3%A9",
        donation_amount={"amount": 1.5, "currency": "EUR"},
        consumer={"first_name": 'Jo "é"', "last_name": "</script>", "country": "NL", "gender": 1, "ip": "192.0.2.1"},
    )


ORDERS = [plain, seated, combined, with_a_voucher, at_an_older_price, with_everything_that_a_request_can_have]


async def placed(shop: Shop, wanted: dict[str, int], **more: object) -> str:
    answer = await shop.order(wanted, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uid"])
