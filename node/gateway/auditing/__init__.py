"""Audits of certificates that callers have run here, each in a process of its own."""
