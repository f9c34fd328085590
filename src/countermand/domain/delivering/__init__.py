"""Endpoints, attempts to deliver an event to them, and the schedule of these attempts."""
