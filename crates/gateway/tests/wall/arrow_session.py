"""Tables of pandas and datasets of pyarrow in a bucket; fails by an exception."""

import os

import pandas
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
from pyarrow import fs

place = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
s3 = fs.S3FileSystem(endpoint_override=place, scheme="http", region="us-east-1", allow_bucket_creation=True, allow_bucket_deletion=True)
frame = pandas.DataFrame({"year": [2024 + number % 3 for number in range(30_000)], "name": [f"ü {number}" for number in range(30_000)], "value": range(30_000)})

# One file, by way of pandas.
frame.to_parquet("bucket/one file.parquet", filesystem=s3)
assert pandas.read_parquet("bucket/one file.parquet", filesystem=s3).equals(frame)
columns = pyarrow.parquet.read_table("bucket/one file.parquet", columns=["value"], filesystem=s3)
assert columns.num_rows == 30_000 and columns.column_names == ["value"]

# A dataset in folders, listed and filtered by them.
table = pyarrow.Table.from_pandas(frame)
pyarrow.dataset.write_dataset(table, "bucket/set", format="parquet", partitioning=["year"], partitioning_flavor="hive", filesystem=s3)
found = pyarrow.dataset.dataset("bucket/set", format="parquet", partitioning="hive", filesystem=s3)
assert len(found.files) == 3 and found.count_rows() == 30_000
assert found.to_table(filter=pyarrow.dataset.field("year") == 2025).num_rows == 10_000
folders = s3.get_file_info(fs.FileSelector("bucket/set"))
assert sorted(info.base_name for info in folders) == ["year=2024", "year=2025", "year=2026"]
assert all(info.type == fs.FileType.Directory for info in folders)
deep = s3.get_file_info(fs.FileSelector("bucket/set", recursive=True))
assert sum(info.type == fs.FileType.File for info in deep) == 3

# Streams in parts, seeks, copies, moves.
content = bytes(range(256)) * 50_000
with s3.open_output_stream("bucket/parts") as stream:
    for start in range(0, len(content), 1_000_003):
        stream.write(content[start : start + 1_000_003])
with s3.open_input_file("bucket/parts") as file:
    assert file.size() == len(content)
    file.seek(12_345_678)
    assert file.read(1000) == content[12_345_678:12_346_678]
s3.copy_file("bucket/parts", "bucket/copied")
s3.move("bucket/copied", "bucket/moved")
assert s3.get_file_info("bucket/moved").size == len(content) and s3.get_file_info("bucket/copied").type == fs.FileType.NotFound

# Folders, which are keys that end in a slash, and buckets.
s3.create_dir("bucket/empty/deeper", recursive=True)
assert s3.get_file_info("bucket/empty/deeper").type == fs.FileType.Directory
s3.create_dir("made")
s3.delete_dir("made")
s3.delete_dir_contents("bucket/empty")
for name in ["set", "empty"]:
    s3.delete_dir(f"bucket/{name}")
for name in ["parts", "moved", "one file.parquet"]:
    s3.delete_file(f"bucket/{name}")
assert s3.get_file_info(fs.FileSelector("bucket")) == []
