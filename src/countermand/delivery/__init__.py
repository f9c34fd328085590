"""Sends events to endpoints: dialects, signatures, checked addresses, HTTP requests, and the relay."""
