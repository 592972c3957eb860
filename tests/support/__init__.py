"""What several tests need: small models, doubles, chains, strategies. Holds no test."""
