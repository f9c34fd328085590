"""An order: its states, its payments, and the events that report its changes."""
