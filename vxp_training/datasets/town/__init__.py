"""A procedural town, driven on several days: camera, LiDAR and exact ground truth without downloads."""
