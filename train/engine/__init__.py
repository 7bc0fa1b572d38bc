"""What all training stages share: arguments, checkpoints, optimizers, cards, uploads."""
