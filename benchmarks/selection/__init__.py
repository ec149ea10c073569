"""Selection in a simulated world whose truth is known. Whatever comes out of it is simulated."""
