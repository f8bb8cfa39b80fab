"""What asyncio's log shows beside a store's own errors."""

import asyncio
import gc

import aiohttp
import fsspec.asyn
import pytest

from dsfactory.storage.store import Store


async def _fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "shown"),
    [(aiohttp.ClientConnectionResetError("Cannot write to closing transport"), False), (RuntimeError("a bug"), True)],
)
def test_what_a_broken_connection_leaves_behind_is_not_shown_and_bugs_are(s3, caplog, error, shown):
    Store(f"s3://{s3.bucket()}/runs/a").entries()

    async def forget():
        task = fsspec.asyn.get_loop().create_task(_fail(error))
        while not task.done():
            await asyncio.sleep(0)

    fsspec.asyn.sync(fsspec.asyn.get_loop(), forget)
    gc.collect()
    assert [record.name for record in caplog.records] == ["asyncio"] * shown
