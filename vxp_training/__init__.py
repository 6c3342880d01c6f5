"""Offline learning: data sets, losses, training, evaluation. Imports vxp_ros.core, never the other way round."""
