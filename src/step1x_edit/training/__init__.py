"""Training: the same loop for the autoencoder, the small MLLM, and the editor (connector and DiT)."""
