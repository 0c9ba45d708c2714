"""The network: encoders and what is changed in them, heads, checkpoints, and its answers in PyTorch."""
