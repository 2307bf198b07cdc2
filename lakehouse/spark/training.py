"""The run that a class archive is made of: it loads what ingest and build load. Usage: training.py LAKE ARCHIVE"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def main(lake: Path, archive: Path) -> None:
    from lakehouse.config import Config, Project
    from lakehouse.spark.session import open_session, sessions_with

    lake.mkdir(parents=True)
    config = Config.model_validate({"name": "training", "root": "tables", "tables": "none", "sources": {}})
    project = Project(folder=lake, env="local", config=config)
    (lake / "rows.csv").write_text("key,value\n" + "".join(f"{n},{n % 7}\n" for n in range(1000)))
    (lake / "rows.json").write_text("".join(f'{{"key": "{n}", "value": {n % 7}.5}}\n' for n in range(100)))
    with sessions_with({"spark.driver.extraJavaOptions": f"-XX:ArchiveClassesAtExit={archive}"}):
        spark = open_session(project)
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    session = spark.newSession()
    rows = session.read.schema("key string, value string").option("header", True).csv(str(lake / "rows.csv"))
    notes = session.read.schema("key string, value string").json(str(lake / "rows.json"))
    both = rows.select("*", F.lit("record").alias("_kind")).unionByName(notes.select("*", F.lit("x").alias("_kind")))
    table = f"delta.`{lake}/table`"
    both.writeTo(table).using("delta").partitionedBy("_kind").tableProperty("lakehouse.epoch", "1").create()
    both.limit(10).write.format("delta").mode("append").option("mergeSchema", True).save(f"{lake}/table")
    typed = session.read.schema(both.schema).option("basePath", f"{lake}/table").parquet(f"{lake}/table")
    typed = typed.select(
        F.expr("try_cast(key as bigint)").alias("key"), F.expr("try_cast(value as double)").alias("value")
    )
    newest = Window.partitionBy("key").orderBy(F.col("value").desc())
    typed = typed.where("key is not null").localCheckpoint(eager=False)
    counts = typed.groupBy("key").agg(F.count("*").alias("n"), F.avg("value").alias("value"))
    counts = counts.withColumn("rank", F.row_number().over(newest)).localCheckpoint(eager=False)
    counts.count()
    gold = f"delta.`{lake}/gold`"
    counts.writeTo(gold).using("delta").tableProperty("delta.enableChangeDataFeed", "true").createOrReplace()
    kept = session.read.format("delta").load(f"{lake}/gold")
    both = counts.alias("s").join(kept.alias("t"), F.expr("s.key = t.key"), "full_outer")
    both.where("NOT (s.n <=> t.n)").groupBy("s.n").count().collect()
    counts.alias("s").join(kept.alias("t"), F.expr("s.key = t.key"), "left_semi").isEmpty()
    counts.where("key > 3").createOrReplaceTempView("changes")
    session.sql(
        f"MERGE INTO {gold} t USING changes s ON t.key <=> s.key WHEN MATCHED AND t.n <=> s.n THEN UPDATE SET *"
        " WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE THEN DELETE"
    ).collect()
    spark.sql(f"DESCRIBE HISTORY {gold}").collect()
    gateway = spark.sparkContext._gateway
    java = gateway.proc if gateway is not None else None
    spark.stop()
    if isinstance(java, subprocess.Popen) and java.stdin is not None:
        java.stdin.close()  # the gateway ends when its input does, and writes the archive then
        java.wait(timeout=300)
    deadline = time.monotonic() + 60
    while not archive.exists() and time.monotonic() < deadline:
        time.sleep(0.2)


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
