"""The passes room: FX graph in, FX graph out."""
