"""Drop-ins for other frameworks; each needs its own package installed."""
