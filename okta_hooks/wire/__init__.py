"""Okta's wire format, read into value objects."""
