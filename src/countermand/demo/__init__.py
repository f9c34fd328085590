"""A service with sample data on a laptop: runs it, and gives other programs ids and variables of a running one."""
