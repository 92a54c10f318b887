"""The org at Okta: its API, what is registered there, and its System Log."""
