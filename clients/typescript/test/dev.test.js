// `sandkeep dev`: a project as the documents make it, run as its user would.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { COMMAND, EXAMPLES, dev, makeProject } from './project.js';

test('the tutorial runs as it is printed', async (t) => {
  const directory = await makeProject(t, (directory) => cp(join(EXAMPLES, 'tutorial'), directory, { recursive: true }));
  const { url } = await dev(directory);
  const call = async (method, path) => {
    const response = await fetch(url + path, { method });
    return [response.status, await response.json()];
  };
  assert.deepEqual(await call('GET', '/results'), [404, { error: 'No results found yet' }]);
  const [, processed] = await call('POST', '/process');
  assert.equal(processed.message, 'Data processed and saved to R2');
  assert.deepEqual([processed.result.total, processed.result.average, processed.result.processed_count], [144, 48, 3]);
  const results = [200, { message: 'Results retrieved from R2', data: processed.result }];
  assert.deepEqual(await call('GET', '/results'), results);
  assert.deepEqual(await call('POST', '/destroy'), [200, { message: 'Sandbox destroyed. Data persists in R2!' }]);
  assert.deepEqual(await call('GET', '/results'), results);
  assert.match(await (await fetch(url)).text(), /Data Pipeline with Persistent Storage/);
});

const WORKER = `
  import { getSandbox } from '@cloudflare/sandbox';
  export { Sandbox } from '@cloudflare/sandbox';
  export default {
    async fetch(request, env) {
      const bucket = env.DATA;
      const sandbox = getSandbox(env.Sandbox, 'shared');
      await sandbox.mountBucket('DATA', '/data');
      await bucket.put('from/worker ü.txt', 'hello', {
        httpMetadata: { contentType: 'text/plain' },
        customMetadata: { note: 'ü' },
      });
      const { stdout } = await sandbox.exec('cat', { args: ['/data/from/worker ü.txt'] });
      await sandbox.exec('printf inside > /data/from/inside.txt');
      const head = await bucket.head('from/worker ü.txt');
      const part = await bucket.get('from/inside.txt', { range: { offset: 2, length: 3 } });
      const listed = await bucket.list({ prefix: 'from/', limit: 1 });
      const rest = await bucket.list({ prefix: 'from/', cursor: listed.cursor, include: ['customMetadata'] });
      const upload = await bucket.createMultipartUpload('parts');
      const whole = await upload.complete([await upload.uploadPart(1, new Uint8Array(1000))]);
      await bucket.delete(['parts', 'none']);
      await env.KV.put('handle', JSON.stringify({ id: 1 }));
      return Response.json({
        word: env.WORD,
        secret: env.SECRET,
        stdout,
        head: [head.size, head.httpMetadata, head.customMetadata, head.etag.length, Date.now() - head.uploaded < 60000],
        part: [await part.text(), part.size, part.range],
        listed: [listed.objects.map(({ key }) => key), listed.truncated, rest.objects.map(({ key, customMetadata }) => [key, customMetadata.note])],
        folders: (await bucket.list({ delimiter: '/' })).delimitedPrefixes,
        refused: await bucket.put('from/inside.txt', 'x', { onlyIf: { etagDoesNotMatch: '*' } }),
        unmatched: (await bucket.get('from/inside.txt', { onlyIf: { etagMatches: 'no' } })).body === undefined,
        whole: whole.size,
        gone: [await bucket.head('parts'), await bucket.get('none')],
        kept: await env.KV.get('handle', 'json'),
      });
    },
  };`;

test('bindings of a project are the buckets that its sandboxes mount', async (t) => {
  const directory = await makeProject(t, async (directory) => {
    await writeFile(join(directory, 'wrangler.toml'), `
      name = "shared"
      [vars]
      WORD = "from the file"
      [[durable_objects.bindings]]
      name = "Sandbox"
      class_name = "Sandbox"
      [[r2_buckets]]
      binding = "DATA"
      bucket_name = "shared-data"
      [[kv_namespaces]]
      binding = "KV"
      id = "x"`);
    await writeFile(join(directory, '.dev.vars'), 'SECRET="hidden"\n');
    await mkdir(join(directory, 'src'));
    await writeFile(join(directory, 'src', 'index.ts'), WORKER);
  });
  const { url, until } = await dev(directory);
  const answer = await (await fetch(url)).text();
  assert.deepEqual(JSON.parse(answer), {
    word: 'from the file',
    secret: 'hidden',
    stdout: 'hello',
    head: [5, { contentType: 'text/plain' }, { note: 'ü' }, 32, true],
    part: ['sid', 6, { offset: 2, length: 3 }],
    listed: [['from/inside.txt'], true, [['from/worker ü.txt', 'ü']]],
    folders: ['from/'],
    refused: null,
    unmatched: true,
    whole: 1000,
    gone: [null, null],
    kept: { id: 1 },
  });
  await writeFile(join(directory, 'src', 'index.ts'), 'export default {');
  await until(/does not build; waiting for a change/);
  await writeFile(join(directory, 'src', 'index.ts'), "export default { fetch: () => new Response('changed') };");
  await until(/^reloaded$/m);
  assert.equal(await (await fetch(url)).text(), 'changed');
});

test('what is wrong with a project is said', async (t) => {
  const run = (directory, ...args) => {
    const env = { PATH: process.env.PATH, SANDKEEP_BIN: '/none/sandkeep' };
    return spawnSync(process.execPath, [COMMAND, ...args], { cwd: directory, env, encoding: 'utf8' });
  };
  const empty = await makeProject(t, async () => {});
  const fails = (directory, args, message) => {
    const { status, stderr } = run(directory, ...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
  };
  fails(empty, ['dev'], /has no wrangler\.json, wrangler\.jsonc, wrangler\.toml/);
  await writeFile(join(empty, 'wrangler.jsonc'), '{\n  "name": oops\n}');
  fails(empty, ['dev'], /wrangler\.jsonc:2: /);
  await writeFile(join(empty, 'wrangler.jsonc'), '{ "name": "x", // a comment\n }');
  fails(empty, ['dev'], /src\/index\.ts does not exist/);
  await mkdir(join(empty, 'src'));
  await writeFile(join(empty, 'src', 'index.ts'), '');
  fails(empty, ['dev', '--env', 'none'], /no section env\.none/);
  fails(empty, ['dev', '--port', 'x'], /--port x/);
  fails(empty, ['dev'], /`\/none\/sandkeep` is not installed/);
  fails(empty, ['dev', '--url', 'http://127.0.0.1:9'], /no server answers at http:\/\/127\.0\.0\.1:9/);
  fails(empty, ['sandbox', 'ls'], /a command of the program/);
  assert.equal(run(empty, '--help').status, 0);
});
