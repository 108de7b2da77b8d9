"""The paper's figure: MLLM, connector, DiT, autoencoder, and how they fit together."""
