"""Labels for pictures that are there already: their noisy latents pass through the UNet once per timestep."""
