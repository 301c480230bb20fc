"""The metrics of a sweep over β, by what they are about."""
