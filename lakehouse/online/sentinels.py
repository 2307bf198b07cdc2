"""Connections to the master that sentinels name: so many at most, and one more is waited for."""

from __future__ import annotations

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel


class SentinelPool(redis.sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """redis-py has a pool that waits, and one that asks sentinels; this does both."""


class AsyncSentinelPool(redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """The same for an event loop."""
