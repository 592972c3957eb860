"""Teachers: models of others behind an address, asked with their providers' official clients."""
