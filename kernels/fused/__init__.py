"""Triton kernels of `hyper`: a table of the keys, a search in it, and one attention over what is near or was found.

`choice` says which calls they take and imports no Triton; `launch` runs them.
"""
