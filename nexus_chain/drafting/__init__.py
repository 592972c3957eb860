"""Drafts: guesses at what a model says next, and the table that they are taken from."""
