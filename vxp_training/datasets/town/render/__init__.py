"""From triangles to a picture: rasteriser, light, shadows, lens and sensor."""
