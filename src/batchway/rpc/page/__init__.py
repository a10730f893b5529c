"""The page that shows a service to people, and lets them call it."""

from batchway.rpc.page.page import Page

__all__ = ["Page"]
