"""Triton kernels of forwards: `hyper` (`launch`), `paper` (`launch_paper`), exact attention under rules (`launch_exact`).

`choice` says which calls they take and imports no Triton.
"""
