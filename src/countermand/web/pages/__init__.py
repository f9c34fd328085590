"""Pages for people: descriptions, link relations, payment and e-tickets."""
