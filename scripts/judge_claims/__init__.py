"""The labelled claims that the judge is measured on: each module here has ``claims()``, for one kind."""
