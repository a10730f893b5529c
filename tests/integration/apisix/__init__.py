"""APISIX's own test cases, retold as tables, and what replays them against a running gateway."""
