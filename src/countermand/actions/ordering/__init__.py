"""Place, read, advance, pay and expire orders."""
