"""From sensor data to what the networks eat: image tensors, voxels, projections."""
