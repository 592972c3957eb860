"""A model learns from others, from the first question to the audited version. Each file is one stage."""
