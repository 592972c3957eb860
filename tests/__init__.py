"""Every test; a package, because an installed distribution has a package of this name too."""
