"""An order: its states, its payments, and what others are told of it."""
