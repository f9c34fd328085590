"""Ticketing: the catalogue, prices, and seats."""
