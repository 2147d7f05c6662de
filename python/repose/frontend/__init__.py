"""Models of other libraries as modules."""
