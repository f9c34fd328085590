"""The catalogue over the shopping contract: events and products."""
