// Shows the OpenAPI document that the page names. Everything comes from this server.
"use strict";

const calls = document.getElementById("calls");
const documentUrl = new URL(calls.dataset.document, window.location.href);

// The document names the public address. The reader may have opened this page at another name of the same service, and
// the page may call only its own origin: so "Try it out" uses the path of the public address at this origin.
function atThisOrigin(response) {
  if (response.url === documentUrl.href && response.ok) {
    const described = JSON.parse(response.text);
    described.servers = described.servers.map(({ url }) => ({ url: new URL(url).pathname }));
    response.text = JSON.stringify(described);
  }
  return response;
}

window.SwaggerUIBundle({
  domNode: calls,
  url: documentUrl.href,
  responseInterceptor: atThisOrigin,
  deepLinking: true,
  docExpansion: "list",
  persistAuthorization: false,
  validatorUrl: null,
});
