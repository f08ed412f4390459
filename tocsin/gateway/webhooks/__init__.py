"""Where delivery reports go: the endpoints of the caller's tenant."""
