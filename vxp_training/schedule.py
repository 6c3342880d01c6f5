"""How the learning rate changes."""

import math


def lr_factor(epoch: int, step: int, lr: float, min_lr: float) -> float:
    """max(0.95^floor(epoch / step), min_lr / lr): what VXP multiplies `lr` with in epoch 0, 1, 2 ..."""
    return max(0.95 ** (epoch // step), min_lr / lr)


WARM_UP = 0.1  # part of the training over which the learning rate rises


def rise_and_fall(done: float, lr: float, min_lr: float) -> float:
    """The learning rate when the part `done` in [0, 1] of a training is over: a line up to lr, then half a cosine."""
    if done < WARM_UP:
        return max(lr * done / WARM_UP, min_lr)
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def halved(epoch: int, step: int, lr: float) -> float:
    """lr * 0.5^floor(epoch / step): LCPR's rule."""
    return lr * 0.5 ** (epoch // step)
