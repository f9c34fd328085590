"""Bill, place, seat, transfer and read tickets, and store the consumers of tickets."""
