"""Problems with exact answers, from the generators of ``reasoning-gym``: some to learn from, others to measure by."""
