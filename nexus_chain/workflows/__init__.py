"""Whole tasks of a user, a publisher or an operator, for any front: a command line, a server, a script.

A task takes typed inputs, tells a ``TaskObserver`` what it is doing, returns what came of it and raises NexusErrors.
It knows neither flags nor words for people.
"""
