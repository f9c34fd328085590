// Verifies requests with standardwebhooks and svix: `… REQUESTS_JSON`. It prints what each library says, as JSON.

import { readFileSync } from "node:fs";
import standardwebhooks from "standardwebhooks";
import * as svix from "svix";

const libraries = { standardwebhooks: standardwebhooks.Webhook, svix: svix.Webhook };

function verifies(Webhook, { secret, body, headers }) {
  try {
    new Webhook(secret).verify(Buffer.from(body, "base64"), headers);
  } catch (error) {
    if (error.constructor.name !== "WebhookVerificationError") throw error;
    return false;
  }
  return true;
}

const requests = JSON.parse(readFileSync(process.argv[2]));
const said = requests.map((request) =>
  Object.fromEntries(Object.entries(libraries).map(([name, Webhook]) => [name, verifies(Webhook, request)])),
);
console.log(JSON.stringify(said));
