"""The demonstration: one real language model, its attention run exactly and approximately.

settings   what the person asked for, checked before anything long starts
source     the model and its tokenizer
text       the words it reads
measure    one run: first call, timed call, perplexity, error of each layer
show       progress, table, JSON
plot       the picture
pipeline   the order of all this
"""
