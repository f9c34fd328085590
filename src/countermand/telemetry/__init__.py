"""Metrics, log lines and traces for an operator. Nothing here changes what the program does."""
