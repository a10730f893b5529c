"""Where resources live: keys like `/routes/1`, JSON bytes as values, one revision for all."""
