"""hyperrewrite: every softmax(QKᵀ)V of a model, exactly or as HyperAttention, through torch.compile."""
