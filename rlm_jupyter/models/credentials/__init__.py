"""Credentials of clouds, found and refreshed by each cloud's own library: signatures for AWS, tokens for Google."""
