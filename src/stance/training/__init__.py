"""Fine-tuning: what is learned from, the trainer, what watches it, and what outlives a killed process.

The way in is `finetuning.train`.
"""
