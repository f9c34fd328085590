// Shows the OpenAPI document that the page names. Everything comes from this server.
"use strict";

const calls = document.getElementById("calls");
window.SwaggerUIBundle({
  domNode: calls,
  url: calls.dataset.document,
  deepLinking: true,
  docExpansion: "list",
  persistAuthorization: false,
  validatorUrl: null,
});
