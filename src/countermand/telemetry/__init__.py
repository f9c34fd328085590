"""What does an operator see? Counts, log lines and traces of what the rest of the program does; it decides nothing."""
