"""Exports what is stored about a person, and forgets a person."""
