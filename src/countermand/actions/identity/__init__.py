"""Exchange an assertion for the right to a token; make keys and secrets."""
