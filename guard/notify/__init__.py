"""Telling people and monitors: a durable queue in front of channels. See queue.py for what is promised."""
