"""The selectors of `hyper`, one a file, each with a function `make` that gives a `selection.Selector`."""
