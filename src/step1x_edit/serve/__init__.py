"""Editing for others: a server that speaks OpenAI's images protocol with the engine behind it, and the page for a browser."""
