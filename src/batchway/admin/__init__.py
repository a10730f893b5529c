"""The Admin API: one generic resource and a table of kinds, over a store."""
