// A real OAuth server for the tests: `node server.js PORT KEYS_FILE`, where the file has {signing, client} as JWKs.
// One client, `partner`, gets access tokens as JWTs (RFC 9068) for assertions signed with its key. SIGHUP makes it read
// the file again and begin anew; each time it is ready, it says so.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import * as oidc from "oidc-provider";

const [port, keysFile] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const resource = {
  scope: "",
  audience: "https://orders.test",
  accessTokenFormat: "jwt",
  accessTokenTTL: 3000,
  jwt: { sign: { alg: "RS256" } },
};
let answer;

function begin() {
  const { signing, client } = JSON.parse(readFileSync(keysFile, "utf8"));
  const partner = {
    client_id: "partner",
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: "RS256",
    jwks: { keys: [client] },
  };
  const provider = new oidc.Provider(issuer, {
    clients: [partner],
    jwks: { keys: [signing] },
    ttl: { ClientCredentials: resource.accessTokenTTL },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource.audience,
        getResourceServerInfo: () => resource,
      },
    },
  });
  answer = provider.callback();
  console.log("ready");
}

process.on("SIGHUP", begin);
createServer((request, response) => answer(request, response)).listen(Number(port), "127.0.0.1", begin);
