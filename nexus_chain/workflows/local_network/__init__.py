"""A whole network on this machine that stays up: chain, contracts, models, nodes, gateway.

``plan`` says what runs, ``state`` what ran, ``children`` keeps processes running, ``network`` brings all of it up.
"""
