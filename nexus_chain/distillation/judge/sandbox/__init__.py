"""Where untrusted Python runs: a child without files, network, processes or time of its own, or nowhere."""
