"""DBOS: a library in the caller's process, on PostgreSQL or on SQLite. A post is a step, the event a message."""

from __future__ import annotations

import os
import sqlite3
import sys
import uuid

from dbos import DBOS, DBOSConfig, SetWorkflowID

from bench.peers.programs.common import Poster, Task, measure, postgres, run


def main() -> None:
    task = Task.given()
    if "--sqlite" in sys.argv:
        path = task.folder / "dbos.db"
        with sqlite3.connect(path) as connection:  # the mode stays in the file; `synchronous` is FULL by default
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        run(_run(task, f"sqlite:///{path}"))
    else:
        with postgres(task.folder / "postgres") as url:
            run(_run(task, url.replace("postgresql://", "postgresql+psycopg://")))


async def _run(task: Task, url: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "sys_db_pool_size": 20,
        "log_level": "ERROR",
        "application_version": "bench",
        "executor_id": "bench",
    }
    DBOS(config=config)
    poster = Poster(task.url, task.body)

    @DBOS.step()
    async def post(key: str) -> int:
        return await poster.post(key)

    @DBOS.workflow()
    async def one_post(key: str) -> None:
        await post(f"{key}:0")

    @DBOS.workflow()
    async def three_posts(key: str) -> None:
        await post(f"{key}:0")
        await DBOS.recv_async("go", 600)
        await post(f"{key}:1")
        await post(f"{key}:2")

    DBOS.launch()

    async def one(number: int) -> None:
        key = str(uuid.uuid4())
        with SetWorkflowID(key):
            handle = await DBOS.start_workflow_async(three_posts if task.workload == "W2" else one_post, key)
        if task.workload == "W2":
            await DBOS.send_async(key, "go", "go")
        await handle.get_result()

    try:
        await measure(task, one, [os.getpid()])
    finally:
        await poster.close()
        DBOS.destroy()


if __name__ == "__main__":
    main()
