"""Tickets: what is sold, what it costs, who sits where."""
