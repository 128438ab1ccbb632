"""Databases that stay where they are: what agents may ask of them, checked, bounded, read-only."""
