"""Disputes: trace commitments, the challenger's and the defender's decisions, witnesses of single steps.

Everything here is pure: it decides what a move contains, never when or how a transaction is sent.
"""
