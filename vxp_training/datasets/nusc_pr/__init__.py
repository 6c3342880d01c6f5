"""NUSC-PR, the nuScenes benchmark of EINet (Xu et al., IROS 2024): tables -> infos -> split -> files -> split.

make.py writes it, read.py gives it back. The published rules leak; the default here does not (compat.py).
"""
