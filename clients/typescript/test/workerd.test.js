// In workerd, the runtime of Workers: with nothing but what Workers have.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { Miniflare } from 'miniflare';

import { startServer } from './server.js';

const WORKER = `
  import { ContainerProxy, getSandbox, parseSSEStream, useEnvironment } from 'sandkeep';
  export { ContainerProxy };
  export default {
    async fetch(request, env) {
      useEnvironment(env);
      const sandbox = getSandbox(env.Sandbox, 'worker');
      await sandbox.mountBucket('MY_BUCKET', '/data');
      await sandbox.writeFile('/data/from-worker', new Uint8Array([0, 1, 255]));
      const { content, isBinary } = await sandbox.readFile('/data/from-worker');
      const types = [];
      for await (const event of parseSSEStream(await sandbox.execStream('echo out; echo err >&2'))) types.push(event.type);
      const error = await sandbox.readFile('/none').catch((error) => ({ name: error.name, code: error.code }));
      return Response.json({ content, isBinary, types: types.sort(), error });
    },
  };`;

let server;
let worker;

before(async () => {
  server = await startServer({ settings: '[bindings]\nMY_BUCKET = "my-r2-bucket"\n' });
  const entry = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  const bundle = await build({
    stdin: { contents: WORKER, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    alias: { sandkeep: entry },
    bundle: true,
    format: 'esm',
    write: false,
  });
  worker = new Miniflare({
    modules: true,
    script: bundle.outputFiles[0].text,
    bindings: { SANDKEEP_URL: server.url },
    compatibilityDate: '2025-11-09',
  });
});

after(async () => {
  await worker?.dispose();
  await server?.stop();
});

test('a Worker uses a sandbox as it is documented', async () => {
  const response = await worker.dispatchFetch('http://worker/');
  assert.deepEqual(await response.json(), {
    content: 'AAH/',
    isBinary: true,
    types: ['complete', 'start', 'stderr', 'stdout'],
    error: { name: 'FileNotFoundError', code: 'FILE_NOT_FOUND' },
  });
});
