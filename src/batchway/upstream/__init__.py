"""HTTP/1.1 connection pools, balancing, retries."""
