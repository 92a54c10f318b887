"""Handing stored events to receivers."""
