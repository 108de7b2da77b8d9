"""The command `step1x`: one thin file a verb."""
