"""Orders over the shopping contract: bill, create, read; tickets and consumers."""
