"""The demonstration: one real language model, its attention run exactly and approximately."""
