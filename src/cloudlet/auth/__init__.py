"""Who calls, and may they: signatures, chunked bodies, policies."""
