"""What an answer can show: the answer file, and the verdict of checking it."""
