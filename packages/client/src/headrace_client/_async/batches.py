"""Operations on batches, below `/ext`."""

from __future__ import annotations

from typing import Unpack

from headrace_client import ext_operations as operations
from headrace_client import requests
from headrace_client._async.calls import AsyncCalls
from headrace_client.batches import Batch, BatchItem
from headrace_client.calls import JsonObject
from headrace_client.models import Result
from headrace_client.options import CallOptions, WriteOptions
from headrace_client.paging import Cursor


class AsyncBatches(AsyncCalls):
    """Many runs, redrives, undos or aborts under one decision."""

    async def create_batch(
        self,
        *,
        batch: JsonObject | None = None,
        request: requests.CreateBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Make a batch, whose preview is made in the background: nothing starts before `start_batch`.

        `batch` has the `kind` (run, redrive, undo or abort), the `reason`, and `runs`, or `filter` or `instances`.
        """
        return await self._call(operations.CREATE_BATCH, request, {"batch": batch}, options)

    async def list_batches(
        self,
        *,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.ListBatchesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[Batch]]:
        """List batches, newest first. Returns one page."""
        arguments = {"page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_BATCHES, request, arguments, options)

    async def get_batch(
        self,
        *,
        batch_id: str | None = None,
        request: requests.GetBatchRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Batch]:
        """Read a batch with its progress."""
        return await self._call(operations.GET_BATCH, request, {"batch_id": batch_id}, options)

    async def list_batch_items(
        self,
        *,
        batch_id: str | None = None,
        state: str | None = None,
        after: int | None = None,
        limit: int | None = None,
        request: requests.ListBatchItemsRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[BatchItem]]:
        """List items in their order, `after` the number of one; optionally only those in a state."""
        arguments = {"batch_id": batch_id, "state": state, "after": after, "limit": limit}
        return await self._call(operations.LIST_BATCH_ITEMS, request, arguments, options)

    async def start_batch(
        self,
        *,
        batch_id: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.StartBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Start a batch that is ready; `request_body` has the `hash` of its preview. Each item starts once."""
        arguments = {"batch_id": batch_id, "request_body": request_body}
        return await self._call(operations.START_BATCH, request, arguments, options)

    async def approve_batch(
        self,
        *,
        batch_id: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.DecideBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Approve exactly the preview of a batch; `request_body` has its `hash` and the `reason`.

        Needs the scope `orchestration:approve`.
        """
        arguments = {"batch_id": batch_id, "request_body": request_body}
        return await self._call(operations.APPROVE_BATCH, request, arguments, options)

    async def reject_batch(
        self,
        *,
        batch_id: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.DecideBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Reject a batch that has not started, for good; `request_body` has its `hash` and the `reason`."""
        arguments = {"batch_id": batch_id, "request_body": request_body}
        return await self._call(operations.REJECT_BATCH, request, arguments, options)

    async def pause_batch(
        self,
        *,
        batch_id: str | None = None,
        request: requests.GetBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Start no more items of a batch; those that have started go on."""
        return await self._call(operations.PAUSE_BATCH, request, {"batch_id": batch_id}, options)

    async def resume_batch(
        self,
        *,
        batch_id: str | None = None,
        request: requests.GetBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Go on with a paused batch."""
        return await self._call(operations.RESUME_BATCH, request, {"batch_id": batch_id}, options)

    async def cancel_batch(
        self,
        *,
        batch_id: str | None = None,
        request: requests.GetBatchRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Batch]:
        """Start no more items of a batch, ever; those that have started go on."""
        return await self._call(operations.CANCEL_BATCH, request, {"batch_id": batch_id}, options)
