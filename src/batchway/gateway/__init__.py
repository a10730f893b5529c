"""Router, plugin pipeline, upstreams: the target behind the data plane."""
