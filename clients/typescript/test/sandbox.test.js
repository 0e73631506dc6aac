import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import * as sandkeep from '../dist/index.js';
import { startServer } from './server.js';

const { collectFile, getSandbox, parseSSEStream, streamFile } = sandkeep;
let server;

before(async () => {
  server = await startServer({ settings: '[bindings]\nMY_BUCKET = "my-r2-bucket"\n' });
});

after(() => server.stop());

function sandbox(id) {
  return getSandbox(server.url, id);
}

test('a program gets its arguments verbatim, a line goes to the shell', async () => {
  const box = sandbox('exec');
  const verbatim = await box.exec('printf', { args: ['%s|', 'a b', '$HOME', "it's"] });
  assert.equal(verbatim.stdout, "a b|$HOME|it's|");
  const line = await box.exec('echo $((6 * 7)) && echo oops >&2; (exit 3)', { env: { UNUSED: undefined } });
  assert.deepEqual([line.stdout, line.stderr, line.exitCode, line.success], ['42\n', 'oops\n', 3, false]);
  assert.equal(line.command, 'echo $((6 * 7)) && echo oops >&2; (exit 3)');
  assert.ok(line.duration >= 0 && !Number.isNaN(Date.parse(line.timestamp)));
  assert.equal((await box.exec('pwd', { cwd: '/tmp', env: { A: 'b' } })).stdout, '/tmp\n');
  assert.equal((await box.exec('no-such-program-here')).exitCode, 127);
});

test('output comes as it is written, at character boundaries', async () => {
  const seen = [];
  let completed;
  const result = await sandbox('exec').exec("printf 'gr\\303'; sleep 0.1; printf '\\274n'; echo e >&2", {
    stream: true,
    onOutput: (stream, data) => seen.push([stream, data]),
    onComplete: (result) => (completed = result),
  });
  assert.equal(result.stdout, 'grün');
  assert.equal(result.stderr, 'e\n');
  assert.deepEqual(completed, result);
  assert.ok(seen.every(([, data]) => !data.includes('\ufffd')), JSON.stringify(seen));
  const types = [];
  for await (const event of parseSSEStream(await sandbox('exec').execStream('echo hi'))) types.push(event.type);
  assert.deepEqual(types, ['start', 'stdout', 'complete']);
});

test('a time limit and an abort end a command', async () => {
  const box = getSandbox(server.url, 'exec', { enableDefaultSession: false });
  const late = await box.exec('sleep 60', { timeout: 100 });
  assert.equal(late.exitCode, 124);
  assert.match(late.stderr, /Command timed out after 100ms/);
  const errors = [];
  const running = box.exec('sleep 61', { signal: AbortSignal.timeout(200), onError: (error) => errors.push(error) });
  await assert.rejects(running, /Operation was aborted/);
  assert.equal(errors.length, 1);
  const { stdout } = await box.exec('ps -eo args | grep -c "[s]leep 6[01]"');
  assert.equal(stdout.trim(), '0');
});

test('files: text, bytes, streams, directories', async () => {
  const box = sandbox('files');
  await box.writeFile('/workspace/deep/er/a.txt', 'grün\n');
  const text = await box.readFile('/workspace/deep/er/a.txt');
  assert.deepEqual([text.content, text.encoding, text.isBinary, text.mimeType, text.size], ['grün\n', 'utf-8', false, 'text/plain', 6]);
  await box.writeFile('/workspace/a.png', 'iVBORw0KGgo=', { encoding: 'base64' });
  const image = await box.readFile('/workspace/a.png');
  assert.deepEqual([image.content, image.encoding, image.isBinary, image.mimeType], ['iVBORw0KGgo=', 'base64', true, 'image/png']);
  assert.equal((await box.readFile('/workspace/deep/er/a.txt', { encoding: 'base64' })).content, Buffer.from('grün\n').toString('base64'));
  const raw = await box.readFile('/workspace/a.png', { encoding: 'none' });
  assert.equal(raw.size, 8);
  assert.equal((await new Response(raw.content).arrayBuffer()).byteLength, 8);
  assert.throws(() => box.writeFile('/workspace/b', 'ä', { encoding: 'base64' }), { code: 'VALIDATION_FAILED' });

  const made = await box.mkdir('/workspace/x/y', { recursive: true });
  assert.deepEqual([made.success, made.recursive], [true, true]);
  assert.equal((await box.exists('/workspace/x/y')).exists, true);
  assert.equal((await box.exists('/workspace/x/z')).exists, false);
  await box.writeFile('/workspace/x/.hidden', '');
  await box.writeFile('/workspace/x/y/shown', 'abc');
  const names = async (options) => (await box.listFiles('/workspace/x', options)).files.map((file) => file.relativePath);
  assert.deepEqual(await names(), ['y']);
  assert.deepEqual(await names({ includeHidden: true }), ['.hidden', 'y']);
  assert.deepEqual(await names({ recursive: true }), ['y', 'y/shown']);
  const [, shown] = (await box.listFiles('/workspace/x', { recursive: true })).files;
  assert.deepEqual([shown.name, shown.absolutePath, shown.type, shown.size], ['shown', '/workspace/x/y/shown', 'file', 3]);

  await box.renameFile('/workspace/x/y/shown', '/workspace/x/renamed');
  const moved = await box.moveFile('/workspace/x/renamed', '/tmp/elsewhere');
  assert.deepEqual([moved.success, moved.newPath], [true, '/tmp/elsewhere']);
  assert.equal((await box.readFile('/tmp/elsewhere')).content, 'abc');
  await assert.rejects(box.moveFile('/workspace/nothing', '/workspace/b'), { code: 'FILE_NOT_FOUND', message: /Source file not found/ });
  await box.deleteFile('/tmp/elsewhere');
  await assert.rejects(box.deleteFile('/workspace/x'), { code: 'IS_DIRECTORY' });
  await assert.rejects(box.listFiles('/workspace/none'), { code: 'FILE_NOT_FOUND', message: /Directory not found/ });
  await assert.rejects(box.listFiles('/workspace/a.png'), { code: 'NOT_DIRECTORY' });
  await assert.rejects(box.readFile('/nothing'), (error) => error instanceof sandkeep.FileNotFoundError && error.message === 'File not found: /nothing');
});

test('files of any size come in pieces', async () => {
  const box = sandbox('files');
  await box.exec('head -c 40000000 /dev/urandom > big.bin; yes äöü | head -c 300001 > big.txt');
  const digest = (await box.exec("sha256sum < big.bin | cut -d' ' -f1")).stdout.trim();
  const { content, metadata } = await collectFile(await box.readFileStream('/workspace/big.bin'));
  assert.deepEqual([metadata.isBinary, metadata.size, content.length], [true, 40000000, 40000000]);
  assert.equal(Buffer.from(await crypto.subtle.digest('SHA-256', content)).toString('hex'), digest);
  await assert.rejects(box.readFile('/workspace/big.bin'), { code: 'FILE_TOO_LARGE', httpStatus: 413 });
  let text = '';
  for await (const piece of streamFile(await box.readFileStream('/workspace/big.txt'))) text += piece;
  // The last character is cut off in the file itself.
  assert.equal(text.replaceAll('äöü\n', ''), Buffer.from(text).subarray(-1).toString() === '\n' ? '' : text.slice(text.lastIndexOf('\n') + 1));
  await box.writeFile('/workspace/from-stream', new Blob(['a'.repeat(100000)]).stream());
  assert.equal((await box.readFile('/workspace/from-stream')).size, 100000);
});

test('buckets are directories; errors have classes and codes', async () => {
  const box = sandbox('mounts');
  await box.mountBucket('MY_BUCKET', '/data');
  await box.mountBucket('MY_BUCKET', '/data');
  await box.writeFile('/data/results.json', '{"total": 144}');
  assert.equal((await box.exec('cat', { args: ['/data/results.json'] })).stdout, '{"total": 144}');
  await box.mountBucket('MY_BUCKET', '/ro', { localBucket: true, readOnly: true });
  await assert.rejects(box.writeFile('/ro/new', 'x'), /Read-only filesystem/);
  assert.deepEqual((await box.listMounts()).map((mount) => mount.mountPath), ['/data', '/ro']);
  await box.unmountBucket('/ro');

  const refused = async (promise, Class, code) => {
    const error = await promise.then(() => assert.fail('it was accepted'), (error) => error);
    assert.ok(error instanceof Class && error instanceof sandkeep.SandboxError && error instanceof Error, `${error}`);
    assert.deepEqual([error.name, error.code], [Class.name, code]);
    return error;
  };
  await refused(box.mountBucket('NO_SUCH', '/x'), sandkeep.InvalidMountConfigError, 'INVALID_MOUNT_CONFIG');
  await refused(box.unmountBucket('/x'), sandkeep.InvalidMountConfigError, 'INVALID_MOUNT_CONFIG');
  const endpoint = 'https://x.r2.cloudflarestorage.com';
  await refused(box.mountBucket('b', '/x', { endpoint }), sandkeep.MissingCredentialsError, 'MISSING_CREDENTIALS');
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  await refused(box.mountBucket('bucket', '/x', { endpoint: 'http://127.0.0.1:9', credentials }), sandkeep.S3FSMountError, 'S3FS_MOUNT_ERROR');
  await box.destroy();
  await box.mountBucket('MY_BUCKET', '/data');
  assert.equal((await box.readFile('/data/results.json')).content, '{"total": 144}');
});

test('backups come back at once and can be kept as JSON', async () => {
  const box = sandbox('backups');
  await box.writeFile('/workspace/kept', 'as it was');
  const progress = [];
  const backup = await box.createBackup({ dir: '/workspace', name: 'before', onProgress: (step) => progress.push(step) });
  assert.match(backup.id, /^[0-9a-f-]{36}$/);
  await box.writeFile('/workspace/kept', 'changed');
  const handle = JSON.parse(JSON.stringify(backup));
  assert.deepEqual(await box.restoreBackup(handle), { success: true, dir: '/workspace', id: backup.id });
  assert.equal((await box.readFile('/workspace/kept')).content, 'as it was');
  assert.ok((await box.listBackups()).some(({ id, name }) => id === backup.id && name === 'before'));
  await box.deleteBackup(backup);
  await assert.rejects(sandbox('elsewhere').restoreBackup(backup), { name: 'BackupNotFoundError', code: 'BACKUP_NOT_FOUND' });
  await assert.rejects(box.createBackup({ dir: '/etc' }), { name: 'InvalidBackupConfigError', code: 'INVALID_BACKUP_CONFIG' });
  await assert.rejects(box.createBackup({ dir: '/workspace/none' }), { name: 'BackupCreateError', code: 'BACKUP_CREATE_FAILED' });
});

test('bad ids and addresses are refused where they are written', () => {
  const refused = (id, code) => assert.throws(() => getSandbox(server.url, id), { name: 'SandboxSecurityError', code });
  refused('', 'INVALID_SANDBOX_ID_LENGTH');
  refused('x'.repeat(64), 'INVALID_SANDBOX_ID_LENGTH');
  refused('-a', 'INVALID_SANDBOX_ID_HYPHENS');
  refused('Admin', 'RESERVED_SANDBOX_ID');
  assert.equal(getSandbox(server.url, 'MiXed', { normalizeId: true }).id, 'mixed');
  assert.throws(() => getSandbox('ftp://x', 'a'), TypeError);
});

test('the environment, a Worker, or nothing says where the server is', async () => {
  sandkeep.useEnvironment({ SANDKEEP_URL: server.url, Sandbox: {}, NUMBER: 1 });
  const namespace = { idFromName() {}, get() {}, fetch() {} };
  assert.equal((await getSandbox(namespace, 'exec').exec('echo here')).stdout, 'here\n');
  assert.equal((await getSandbox(undefined, 'exec').exec('echo here')).stdout, 'here\n');
  sandkeep.useEnvironment({});
  const error = await getSandbox('http://127.0.0.1:9', 'a').exec('true').catch((error) => error);
  assert.deepEqual([error.name, error.code], ['ConnectionError', 'CONNECTION_ERROR']);
  assert.match(error.message, /is `sandkeep serve` running\?/);
});

test('a key is needed where one is set', async () => {
  const guarded = await startServer({ env: { SANDBOX_API_KEY: 'secret-key' } });
  try {
    await assert.rejects(getSandbox(guarded.url, 'a').exec('true'), { name: 'UnauthorizedError', httpStatus: 401 });
    const box = getSandbox({ url: guarded.url, apiKey: 'secret-key' }, 'a');
    assert.equal((await box.exec('true')).success, true);
  } finally {
    await guarded.stop();
  }
});
