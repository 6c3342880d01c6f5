"""How the learning rate falls."""


def lr_factor(epoch: int, step: int, lr: float, min_lr: float) -> float:
    """max(0.95^floor(epoch / step), min_lr / lr): what VXP multiplies `lr` with in epoch 0, 1, 2 ..."""
    return max(0.95 ** (epoch // step), min_lr / lr)
