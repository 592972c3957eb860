"""How a model is cut and placed: what layers take, shards, stages, and which node should serve which."""
