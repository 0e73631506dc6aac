// A real server for the tests of a file: its own data, sockets and ports; ended and removed afterwards.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROGRAM = process.env.SANDKEEP_BIN ?? fileURLToPath(new URL('../../../target/debug/sandkeep', import.meta.url));

/** Starts a server with an environment and a settings file. */
export async function startServer({ env = {}, settings = '' } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'sandkeep-client-'));
  await writeFile(join(directory, 'sandkeep.toml'), settings);
  const [port, s3Port] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const args = ['serve', '--listen', `127.0.0.1:${port}`, '--s3-listen', `127.0.0.1:${s3Port}`, '--data', join(directory, 'data')];
  const child = spawn(PROGRAM, args, { cwd: directory, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stdout.on('data', (bytes) => (log += bytes));
  child.stderr.on('data', (bytes) => (log += bytes));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok) break;
    if (child.exitCode !== null || attempt > 600) throw new Error(`the server did not start:\n${log}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    s3: `http://127.0.0.1:${s3Port}`,
    directory,
    log: () => log,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
