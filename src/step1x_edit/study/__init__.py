"""The blind user study: people rank the results of several systems, without knowing which is whose."""
