// A ticket shop that knows the root's address, its credentials and the names of links, and nothing else:
// `node shop.js ROOT KEY SECRET`. It follows links to an event, a product, a bill and an order, and cancels that. What it
// saw on the way, it says as JSON. The HAL client is Ketting, which no one here wrote.
import { basicAuth, Client } from "ketting";

const [address, key, secret] = process.argv.slice(2);
const client = new Client(address);
client.use(basicAuth(key, secret));
const seen = {};

const root = client.go();
const events = await root.follow("shop:event", {});
const [event] = await events.followAll("shop:event");
seen.event = (await event.get()).data.title.en;

const products = await event.follow("shop:products");
let product;
for (const one of await products.followAll("shop:product")) {
  const { data } = await one.get();
  if (data.price.amount > 0 && data.availability > 1 && data.separately_saleable && data.combo.length === 0) {
    product ??= one;
  }
}
const left = async () => (await product.refresh()).data.availability;
seen.availability = [await left()];

const selection = { products: [{ product: product.uri, quantity: 2 }], consumer: { country: "NL" } };
const bill = await (await root.follow("shop:bill", {})).post({ data: selection });
const [payment] = bill.data.available_payment_methods;
seen.methods = bill.data.available_payment_methods.length;

const wanted = { ...selection, payment_method: payment.uid };
wanted.consumer = { ...Object.fromEntries((payment.required_consumer_fields ?? []).map((name) => [name, "x"])) };
Object.assign(wanted.consumer, { first_name: "Jo", last_name: "Visitor", email: "jo@example.com", country: "NL" });
seen.bill = (await (await root.follow("shop:bill", {})).post({ data: wanted })).data.grand_total;
const order = await (await root.follow("shop:order")).postFollow({ data: wanted });
const placed = await order.get();
seen.placed = placed.data.status;
seen.order = placed.data.grand_total;
seen.payment = placed.links.get("payment").href;
seen.availability.push(await left());

const cancellation = await order.follow("shop:ordercancellation");
const cancelled = await cancellation.post({ data: { order: order.uri, reason: "The buyer asked" } });
seen.cancelled = cancelled.data.status;
seen.afterwards = (await order.refresh()).data.status;
seen.availability.push(await left());

console.log(JSON.stringify(seen));
