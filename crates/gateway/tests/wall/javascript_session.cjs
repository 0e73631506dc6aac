// What programs do with the AWS SDK for JavaScript, in its default settings; fails by an exception.

const assert = require("node:assert");
const { Readable } = require("node:stream");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");

const Bucket = "bucket";
// The endpoint is an address, below which there are no names for buckets.
const client = new s3.S3Client({ forcePathStyle: true });
const send = (Command, input) => client.send(new Command({ Bucket, ...input }));

async function refused(name, promise) {
  await assert.rejects(promise, (error) => error.name === name || assert.fail(`${error.name}, not ${name}`));
}

async function main() {
  const stored = await send(s3.PutObjectCommand, { Key: "a b/ü", Body: "text", Metadata: { mode: "33188" } });
  // The SDK adds CRC32 by itself.
  assert.ok(stored.ChecksumCRC32);
  const found = await send(s3.GetObjectCommand, { Key: "a b/ü" });
  assert.equal(await found.Body.transformToString(), "text");
  assert.equal(found.ChecksumCRC32, stored.ChecksumCRC32);
  assert.equal(found.Metadata.mode, "33188");
  await refused("NoSuchKey", send(s3.GetObjectCommand, { Key: "missing" }));
  await refused("NotFound", send(s3.HeadObjectCommand, { Key: "missing" }));
  await refused("PreconditionFailed", send(s3.PutObjectCommand, { Key: "a b/ü", Body: "", IfNoneMatch: "*" }));

  // A stream of unknown length goes in parts, a short one in one piece.
  const large = Buffer.alloc(12 << 20, "large");
  for (const [Key, content] of [["large", large], ["small", Buffer.from("small")]]) {
    const pieces = Readable.from((function* () {
      for (let at = 0; at < content.length; at += 65536) yield content.subarray(at, at + 65536);
    })());
    await new Upload({ client, params: { Bucket, Key, Body: pieces } }).done();
    const back = await send(s3.GetObjectCommand, { Key });
    assert.ok(content.equals(Buffer.from(await back.Body.transformToByteArray())), Key);
  }
  const head = await send(s3.HeadObjectCommand, { Key: "large", ChecksumMode: "ENABLED" });
  assert.equal(head.ContentLength, large.length);
  assert.ok(head.ETag.endsWith('-3"'), head.ETag);

  const keys = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket })) {
    keys.push(...page.Contents.map((entry) => entry.Key));
  }
  assert.deepEqual(keys, ["a b/ü", "large", "small"]);
  await send(s3.CopyObjectCommand, { Key: "kept", CopySource: `${Bucket}/small` });
  const deleted = await send(s3.DeleteObjectsCommand, { Delete: { Objects: keys.map((Key) => ({ Key })) } });
  assert.equal(deleted.Deleted.length, 3);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
