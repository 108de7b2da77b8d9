"""The tools of the data pipeline: protocols, offline tools that need no weights of their own, and tools that run the paper's models."""
