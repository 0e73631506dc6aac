// Sessions, variables and processes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import * as sandkeep from '../dist/index.js';
import { startServer } from './server.js';

const { getSandbox, parseSSEStream } = sandkeep;
let server;

before(async () => {
  server = await startServer();
});

after(() => server.stop());

test('a session keeps its directory, variables and functions; files are everyone\'s', async () => {
  const box = getSandbox(server.url, 'sessions');
  const session = await box.createSession({ id: 'build', env: { COLOUR: 'green', NONE: undefined }, cwd: '/tmp' });
  assert.equal(session.id, 'build');
  await session.exec('mkdir -p deep && cd deep && hello() { echo "hello $1 from $COLOUR"; }');
  assert.equal((await session.exec('pwd; hello you')).stdout, '/tmp/deep\nhello you from green\n');
  await session.setEnvVars({ COLOUR: 'blue', OTHER: "it's" });
  assert.equal((await session.exec('echo "$COLOUR $OTHER"')).stdout, "blue it's\n");
  await session.setEnvVars({ COLOUR: null });
  assert.equal((await session.exec('echo "${COLOUR-unset}"')).stdout, 'unset\n');
  await session.writeFile('/tmp/shared', 'x');
  assert.equal((await box.exec('cat /tmp/shared; echo "${OTHER-unset}"')).stdout, 'xunset\n');
  assert.equal((await (await box.getSession('build')).exec('pwd')).stdout, '/tmp/deep\n');
  await assert.rejects(box.createSession({ id: 'build' }), { name: 'SessionAlreadyExistsError', code: 'SESSION_ALREADY_EXISTS', httpStatus: 409 });
  assert.match((await box.createSession()).id, /^session-\d+$/);
});

test('calls without a session share one, unless it is switched off', async () => {
  const shared = getSandbox(server.url, 'default');
  await shared.exec('cd /usr && export A=1');
  assert.equal((await shared.exec('echo "$PWD $A"')).stdout, '/usr 1\n');
  await shared.setEnvVars({ B: '2' });
  assert.equal((await shared.exec('printenv', { args: ['B'] })).stdout, '2\n');
  const fresh = getSandbox(server.url, 'default', { enableDefaultSession: false });
  assert.equal((await fresh.exec('cd /usr; echo "$PWD ${A-none}"')).stdout, '/usr none\n');
  assert.equal((await fresh.exec('pwd')).stdout, '/workspace\n');
});

test('a shell that ends says so, and the next call gets a fresh one', async () => {
  const box = getSandbox(server.url, 'ending');
  const session = await box.createSession({ id: 'brief' });
  await session.exec('STATE=kept');
  const error = await session.exec('exit 3').catch((error) => error);
  assert.deepEqual([error.name, error.code, error.httpStatus, error.exitCode], ['SessionTerminatedError', 'SESSION_TERMINATED', 410, 3]);
  assert.equal((await session.exec('echo "${STATE-gone}"')).stdout, 'gone\n');
  const running = session.exec('sleep 60').catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const deleted = await box.deleteSession('brief');
  assert.deepEqual([deleted.success, deleted.sessionId], [true, 'brief']);
  assert.equal((await running).code, 'SESSION_DESTROYED');
  const late = await (await box.createSession({ commandTimeoutMs: 200 })).exec('sleep 5').catch((error) => error);
  assert.equal(late.code, 'COMMAND_EXECUTION_ERROR');
  assert.match(late.message, /Command timeout after 200ms/);
});

test('processes run on their own, are watched and ended', async () => {
  const box = getSandbox(server.url, 'processes');
  const seen = [];
  let code;
  const ended = new Promise((resolve) => (code = resolve));
  const counter = await box.startProcess('for i in 1 2 3; do echo "line $i"; sleep 0.1; done; echo oops >&2; exit 4', {
    processId: 'counter',
    onStart: (process) => seen.push(process.id),
    onOutput: (stream, data) => seen.push([stream, data]),
    onExit: code,
  });
  assert.deepEqual([counter.id, counter.status, typeof counter.pid, counter.startTime instanceof Date], ['counter', 'running', 'number', true]);
  assert.equal((await counter.waitForLog('line 2')).line, 'line 2');
  const { line, match } = await counter.waitForLog(/^line (\d)$/);
  assert.deepEqual([line, match[1]], ['line 1', '1']);
  assert.deepEqual(await counter.waitForExit(10000), { exitCode: 4 });
  assert.equal(await ended, 4);
  assert.equal(await counter.getStatus(), 'failed');
  assert.deepEqual(await counter.getLogs(), { stdout: 'line 1\nline 2\nline 3\n', stderr: 'oops\n' });
  assert.equal(seen[0], 'counter');
  await assert.rejects(counter.waitForLog(/never/), { name: 'ProcessExitedBeforeReadyError' });
  await assert.rejects(counter.waitForLog('never'), { name: 'ProcessExitedBeforeReadyError' });

  const server_ = await box.startProcess('exec python3 -m http.server 8000 --bind 127.0.0.1', { cwd: '/tmp' });
  await server_.waitForPort(8000, { timeout: 20000 });
  await server_.waitForPort(8000, { mode: 'tcp', timeout: 20000 });
  await assert.rejects(server_.waitForLog('never', 200), { name: 'ProcessReadyTimeoutError', httpStatus: 408 });
  await assert.rejects(server_.waitForLog(/never/, 200), { name: 'ProcessReadyTimeoutError' });
  assert.deepEqual((await box.listProcesses()).map(({ id }) => id), ['counter', server_.id]);
  await server_.kill();
  await server_.waitForExit(10000);
  assert.equal(await server_.getStatus(), 'killed');
  const types = [];
  for await (const event of parseSSEStream(await box.streamProcessLogs('counter'))) types.push(event.type);
  assert.equal(types.at(-1), 'exit');
  assert.equal(await box.getProcess('none'), null);
  await assert.rejects(box.killProcess('none'), { name: 'ProcessNotFoundError', code: 'PROCESS_NOT_FOUND' });
  await box.startProcess('sleep 60');
  assert.equal(await box.killAllProcesses(), 1);
  assert.equal(await box.cleanupCompletedProcesses(), 3);
  assert.deepEqual(await box.listProcesses(), []);
});
