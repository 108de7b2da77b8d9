"""Measuring editing systems."""
