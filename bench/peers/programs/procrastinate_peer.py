"""procrastinate: a job queue on PostgreSQL. It has no events to wait for, hence W1 only."""

from __future__ import annotations

import asyncio
import os
import uuid

import procrastinate

from bench.peers.programs.common import PATIENCE_S, Poster, Task, measure, postgres, run


def main() -> None:
    task = Task.given()
    with postgres(task.folder / "postgres") as url:
        run(_run(task, url))


async def _run(task: Task, url: str) -> None:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=20))
    poster = Poster(task.url, task.body)
    waiting: dict[str, asyncio.Future[None]] = {}

    @app.task(name="one_post")
    async def one_post(key: str) -> None:
        await poster.post(key)
        waiting.pop(key).set_result(None)

    async def one(number: int) -> None:
        """A caller is free when the POST is made; the job's own last commit follows, and is waited for at the end."""
        key = str(uuid.uuid4())
        future = waiting[key] = asyncio.get_running_loop().create_future()
        await one_post.defer_async(key=key)
        await future

    async def ended() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                counts = await app.connector.execute_query_all_async(
                    "SELECT count(*) AS left FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
                )
                if not counts[0]["left"]:
                    return
                await asyncio.sleep(0.01)

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker = asyncio.create_task(
            app.run_worker_async(
                concurrency=task.callers,
                fetch_job_polling_interval=0.5,
                install_signal_handlers=False,
                listen_notify=True,
            )
        )
        try:
            await measure(task, one, [os.getpid()], ended)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await poster.close()


if __name__ == "__main__":
    main()
