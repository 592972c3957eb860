"""What a node does beside serving: registration, settlement, defence, roots on the chain."""
