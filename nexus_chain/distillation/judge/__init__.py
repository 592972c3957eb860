"""The judge: proved, refuted with a counterexample, or unknown. Never "verified" on less than a proof."""
