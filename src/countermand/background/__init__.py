"""What a running node does beside its calls: post metrics, read keys again, forget, expire."""
