"""Executors of integer programs.

``reference`` is slow and plain and defines what right means; the fast engine agrees with it bit
for bit. Import each from its own module, so that neither drags in the other.
"""
