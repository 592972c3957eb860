"""Several sources answer one prompt; the judge, their agreement and their record say which answer is taken."""
