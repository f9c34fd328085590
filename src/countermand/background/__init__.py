"""Background tasks: what a running node does repeatedly besides answering calls."""
