"""Metrics, log lines and traces for an operator. Telemetry never changes what the service does."""
