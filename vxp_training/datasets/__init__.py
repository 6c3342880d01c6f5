"""Datasets: what each offers is frames with poses, ready for training and for the published protocols."""
