// Every sample of the guides, as it is printed, in a Worker's project.
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { EXAMPLES, dev, makeProject } from './project.js';

const KEYS = { id: 'devkey0000000001', secret: 'devsecret00000000000000000000001' };

async function example(t, name, { args = [], secrets = [] } = {}) {
  const directory = await makeProject(t, (directory) => cp(join(EXAMPLES, name), directory, { recursive: true }));
  const lines = secrets.map((prefix) => `${prefix}ACCESS_KEY_ID=${KEYS.id}\n${prefix}SECRET_ACCESS_KEY=${KEYS.secret}\n`);
  await writeFile(join(directory, '.dev.vars'), lines.join(''));
  const env = { SANDKEEP_S3_ACCESS_KEY_ID: KEYS.id, SANDKEEP_S3_SECRET_ACCESS_KEY: KEYS.secret };
  const { url } = await dev(directory, { args, env });
  const names = (await (await fetch(`${url}/none`)).json()).samples;
  const left = new Set(names);
  return {
    url,
    /** Runs a sample. */
    async run(name) {
      assert.ok(names.includes(name), `no sample ${name}`);
      left.delete(name);
      return (await fetch(`${url}/${name}`)).json();
    },
    /** All of them have run. */
    finish: () => assert.deepEqual([...left], []),
  };
}

test('"Mount buckets"', async (t) => {
  const { url, run, finish } = await example(t, 'mounting', { secrets: ['R2_', 'AWS_', 'GCS_', ''] });
  const put = (key, body) => fetch(`${url}/${key}`, { method: 'PUT', body });
  const object = async (key) => (await fetch(`${url}/object/${key}`)).text();
  await put('input.csv', 'a,b\n1,2\n3,4\n');
  await put('dataset.csv', 'a\n1\n');
  await put('large-dataset.csv', 'large\n');
  await put('results/earlier.json', '{}');
  const mounts = async (name) => {
    const answer = await run(name);
    assert.ok(!answer.error, `${name}: ${answer.error}`);
    return answer.mounts.map(({ bucket, mountPath, prefix, readOnly }) => [bucket, mountPath, prefix, readOnly].filter((part) => part));
  };

  await run('binding');
  assert.equal(await object('results.json'), '{"rows":2}');
  assert.deepEqual(await mounts('detected'), [['my-r2-bucket', '/data']]);
  assert.deepEqual(await mounts('explicit'), [['my-r2-bucket', '/data']]);
  assert.deepEqual(await mounts('proxy'), [['my-bucket', '/data']]);
  assert.deepEqual(await mounts('prefixes'), [
    ['MY_BUCKET', '/images', '/uploads/images/'],
    ['MY_BUCKET', '/test-data', '/ml/testing/'],
    ['MY_BUCKET', '/training-data', '/ml/training/'],
  ]);
  assert.equal(await object('uploads/images/photo.jpg'), 'not really a photo');
  assert.match((await run('readOnly')).error, /^FileSystemError: Read-only filesystem/);
  assert.equal(await object('new-file.txt'), 'no such object');
  assert.deepEqual(await mounts('local'), [['MY_BUCKET', '/data']]);
  assert.deepEqual(await mounts('toggled'), [['MY_BUCKET', '/data']]);
  assert.deepEqual(await mounts('localOptions'), [['MY_BUCKET', '/data', true], ['MY_BUCKET', '/images', '/uploads/images/']]);
  assert.deepEqual(await mounts('unmount'), []);
  assert.deepEqual(await mounts('s3'), [['my-s3-bucket', '/data']]);
  assert.deepEqual(await mounts('gcs'), [['my-gcs-bucket', '/data']]);
  assert.deepEqual(await mounts('other'), [['my-bucket', '/data']]);
  assert.deepEqual(await mounts('failed'), [['MY_BUCKET', '/data']]);
  assert.match((await run('used')).result, /^InvalidMountConfigError: Mount path already in use/);
  const { error, code } = await run('unbound');
  assert.deepEqual([error, code], ['InvalidMountConfigError: R2 binding "MY_R2_BUCKET" not found in Worker env', 'INVALID_MOUNT_CONFIG']);
  await run('copied');
  assert.equal(await object('results/output.json'), 'large\n');
  finish();
});

test('"Mount buckets" without secrets, and with LOCAL_DEV', async (t) => {
  const { run } = await example(t, 'mounting', { args: ['--env', 'local'] });
  const toggled = await run('toggled');
  assert.deepEqual(toggled.mounts.map(({ bucket }) => bucket), ['MY_BUCKET']);
  const { error, code } = await run('explicit');
  assert.match(error, /^ValidationFailedError: .*accessKeyId/);
  assert.equal(code, 'VALIDATION_FAILED');
});

test('"Backup and restore", and the reference of createBackup', async (t) => {
  const { run, finish } = await example(t, 'backups');
  const result = async (name) => {
    const answer = await run(name);
    assert.ok(!answer.error, `${name}: ${answer.error}`);
    return answer.result;
  };
  const { id, dir } = await result('create');
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(dir, '/workspace');
  assert.equal((await result('restore')).success, true);
  assert.deepEqual(await result('gitignore'), ['.git', '.gitignore', 'kept']);
  assert.equal(await result('checkpoint'), '{}');
  assert.equal(await result('handles'), 'v2');
  assert.equal(await result('named'), 'before-migration');
  assert.deepEqual(await result('ttl'), [600, 604800]);
  assert.equal((await run('expired')).code, 'BACKUP_EXPIRED');
  assert.deepEqual(await result('local'), [true, true]);
  assert.equal(await result('toggled'), false);
  assert.equal(await result('replace'), 'BACKUP_NOT_FOUND');
  assert.deepEqual(await result('prune'), [true, true]);
  assert.equal(await result('remove'), 0);
  assert.equal(await result('copyOnWrite'), false);
  assert.deepEqual(await result('errors'), ['Configuration error:', 'Backup failed:', 'Backup not found in R2:']);
  assert.equal(await result('permissions'), '/home/sandbox');
  assert.equal(await result('reference'), '/workspace/data');
  assert.equal(await result('experiment'), 'kept');
  assert.equal(await result('periodic'), true);
  const [code, name, message] = await result('refused');
  assert.deepEqual([code, name], ['BACKUP_CREATE_FAILED', 'BackupCreateError']);
  assert.match(message, /No such file or directory/);
  finish();
});
