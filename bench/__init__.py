"""How fast batchway is, beside a plain proxy and a naive aggregator, on this machine and in one run."""
