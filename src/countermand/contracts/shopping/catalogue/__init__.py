"""The catalogue in the shopping contract: events and products."""
