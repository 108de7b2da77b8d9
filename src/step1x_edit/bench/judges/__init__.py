"""The judges: who is asked, what is asked, and how the answers are read, kept and counted."""
