// A partner with a certified client library (openid-client) that knows the issuer, its own name and its private key, and
// no `kid`: `node partner.js ISSUER CLIENT_ID PEM_FILE ORDER_ID`. It gets a token and cancels the order; it says the
// token's kind and life in seconds, and the status.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import * as openid from "openid-client";

const [issuer, clientId, pemFile, orderId] = process.argv.slice(2);
const encoded = readFileSync(pemFile, "utf8").replace(/-----.*?-----|\s/g, "");
const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const key = await webcrypto.subtle.importKey("pkcs8", Buffer.from(encoded, "base64"), algorithm, false, ["sign"]);

const local = { execute: [openid.allowInsecureRequests] };
const server = await openid.discovery(new URL(issuer), clientId, undefined, openid.PrivateKeyJwt(key), local);
const token = await openid.clientCredentialsGrant(server);

const reply = await fetch(new URL("/api/connect/orders/cancel", issuer), {
  method: "POST",
  headers: {
    Authorization: `Bearer ${token.access_token}`,
    "Content-Type": "application/json",
    "X-API-VERSION": "7",
  },
  body: JSON.stringify({ orderId: Number(orderId) }),
});
console.log(token.token_type === "bearer" ? "Bearer" : token.token_type, token.expires_in, reply.status);
