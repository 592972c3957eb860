"""Claims about a Python function: equal to a reference, or true to a contract, over a stated domain.

A function in a small subset of Python is translated to SMT and proved or refuted by both solvers. Outside of the subset
a finite domain is enumerated in the sandbox. Every counterexample is run before it is believed.
"""
