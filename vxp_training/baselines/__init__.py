"""Place recognition without learning: yardsticks that a trained model has to beat."""
