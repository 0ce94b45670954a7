"""Triton kernels of forwards: `hyper` (`launch`), `paper` (`launch_paper`), exact under rules (`launch_exact`).

`choice` says which calls they take and imports no Triton.
"""
