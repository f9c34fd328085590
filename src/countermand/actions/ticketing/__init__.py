"""Bill, place, seat, transfer and read tickets, and keep the consumers they are for."""
