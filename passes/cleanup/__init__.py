"""Constants, identities, inference-time leftovers and values nobody reads."""
