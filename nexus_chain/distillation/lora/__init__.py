"""A model learns from verified examples: LoRA adapters, measured, kept as versions, merged into a new checkpoint.

Training runs in a process of its own (``training_process``), which can be killed and goes on where it was.
"""
