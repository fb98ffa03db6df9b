"""The small part that λShare's functions share; each function owns all else itself."""
