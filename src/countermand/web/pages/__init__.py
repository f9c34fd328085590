"""Web pages: API documentation, link relations, payment and e-tickets."""
