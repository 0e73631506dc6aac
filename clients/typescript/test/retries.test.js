// What is tried again, and what is not: against a server that fails on purpose.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { getSandbox } from '../dist/index.js';

/** Answers with each of `answers` in turn, and counts. */
async function failing(t, answers) {
  const seen = [];
  const server = createServer((request, response) => {
    const [status, body] = answers[Math.min(seen.length, answers.length - 1)];
    seen.push(request.method);
    response.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.closeAllConnections() ?? server.close());
  return { sandbox: getSandbox(`http://127.0.0.1:${server.address().port}`, 'a'), seen };
}

const UNAVAILABLE = [503, { code: 'CONTAINER_UNAVAILABLE', message: 'not now', context: {}, httpStatus: 503 }];
const RESULT = { success: true, exitCode: 0, stdout: 'x', stderr: '' };

test('what the server has not begun is tried again', async (t) => {
  const { sandbox, seen } = await failing(t, [UNAVAILABLE, UNAVAILABLE, [200, RESULT]]);
  assert.equal((await sandbox.exec('true')).stdout, 'x');
  assert.equal(seen.length, 3);
});

test('what may have been done is not done twice, what may be done twice is', async (t) => {
  for (const status of [429, 502, 503, 504]) {
    const command = await failing(t, [[status, 'from a proxy'], [200, RESULT]]);
    await assert.rejects(command.sandbox.exec('true'), { httpStatus: status, message: /from a proxy/ });
    assert.equal(command.seen.length, 1);
    const question = await failing(t, [[status, ''], [200, { mounts: [] }]]);
    assert.deepEqual(await question.sandbox.listMounts(), []);
    assert.deepEqual(question.seen, ['GET', 'GET']);
  }
});

test('an end is put to it', async (t) => {
  const { sandbox, seen } = await failing(t, [UNAVAILABLE]);
  await assert.rejects(sandbox.exec('true'), { name: 'ContainerUnavailableError', code: 'CONTAINER_UNAVAILABLE' });
  assert.equal(seen.length, 4);
});
