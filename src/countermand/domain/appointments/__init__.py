"""A technician's visit, and what is asked about one."""
