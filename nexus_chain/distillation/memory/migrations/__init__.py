"""How older databases become today's: one step a file in ``versions``, run by Alembic when a memory is opened."""
