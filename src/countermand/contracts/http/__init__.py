"""What every contract needs of HTTP: calls, answers, bodies, idempotency, OpenAPI, amounts."""
