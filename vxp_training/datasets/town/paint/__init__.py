"""What a point of a surface looks like, material by material, for the camera and the LiDAR alike."""
