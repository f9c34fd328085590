"""May an order be cancelled? Rules are data, a policy is a list of rules, and a decision gives the reasons."""
