"""Orders in the shopping contract: bills, orders, tickets and consumers."""
