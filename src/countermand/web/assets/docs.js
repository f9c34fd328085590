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

// Swagger UI has dark colours, and leaves it to the page to switch them on.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function followColours() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}
dark.addEventListener("change", followColours);
followColours();

// Mends what keeps people with a screen reader or a keyboard from reading: links inside buttons, fields without a
// name, headings that skip a level, and parts of the page that belong to no landmark.
const landmarks = { ".information-container": "About this API", ".scheme-container": "Server and credentials" };
function mend() {
  calls.querySelectorAll(".opblock-summary-control a[href]").forEach((link) => link.removeAttribute("href"));
  for (const [selector, name] of Object.entries(landmarks)) {
    calls.querySelectorAll(selector).forEach((part) => {
      part.setAttribute("role", "region");
      part.setAttribute("aria-label", name);
    });
  }
  calls.querySelectorAll("h3.opblock-tag, section.models h4").forEach((heading) => heading.setAttribute("aria-level", "2"));
  calls.querySelectorAll("select:not([aria-label]), input:not([aria-label]), textarea:not([aria-label])").forEach((field) => {
    const row = field.closest("tr[data-param-name]");
    field.setAttribute("aria-label", row?.dataset.paramName ?? (field.id === "servers" ? "Server" : "Value"));
  });
}
new MutationObserver(mend).observe(calls, { childList: true, subtree: true });

// A demo fills in its own credential, so that the first call works.
function authorize() {
  const { scheme, token, user, password } = calls.dataset;
  if (token) reader.preauthorizeApiKey(scheme, token);
  else if (user) reader.preauthorizeBasic(scheme, user, password);
}

const reader = window.SwaggerUIBundle({
  domNode: calls,
  url: documentUrl.href,
  responseInterceptor: atThisOrigin,
  onComplete: authorize,
  deepLinking: true,
  docExpansion: "list",
  persistAuthorization: false,
  validatorUrl: null,
});
