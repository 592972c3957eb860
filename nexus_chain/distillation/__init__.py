"""The network learns: teachers answer, the judge proves, memory keeps, LoRA trains."""
