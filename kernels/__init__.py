"""The kernels room: what a rewritten attention site runs."""
