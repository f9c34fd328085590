"""For whoever outgrows one machine: many nodes, which share nothing but the database."""
