"""What a training run says of itself, and whether it is complete."""
