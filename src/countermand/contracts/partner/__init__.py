"""The partners' API: clients of the contracts hear of their own orders, over the credential of their contract."""
