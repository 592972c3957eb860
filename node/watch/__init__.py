"""``nexus-node watch``: audits answers and plays dispute games against whoever signed a wrong one."""
