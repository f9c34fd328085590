"""What can be asked of the service: one file for each, and in it the transaction that answers."""
