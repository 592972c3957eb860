"""Tests, by the package that they are about; what several of them need is in ``support``."""
