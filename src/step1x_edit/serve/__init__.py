"""A server that speaks OpenAI's images protocol, and the engine behind it."""
