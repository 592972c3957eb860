"""The double-entry ledger: what callers deposited, what answers cost, who got it."""
