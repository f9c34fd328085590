"""Cancel orders in batches, read them back, and explain a decision without making one."""
