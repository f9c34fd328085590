"""What every contract shares for HTTP: calls, answers, bodies, idempotency, OpenAPI, amounts."""
