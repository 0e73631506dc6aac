// Projects that `sandkeep dev` runs, each in a directory of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PROGRAM } from './server.js';

export const COMMAND = fileURLToPath(new URL('../dist/dev.js', import.meta.url));
export const EXAMPLES = fileURLToPath(new URL('../../../examples', import.meta.url));
const MODULES = fileURLToPath(new URL('../node_modules', import.meta.url));

/** Ends what runs in a project. */
const stops = new Map();

/** A project, with what npm would have installed there; ended and removed when the test ends. */
export async function makeProject(t, fill) {
  const directory = await mkdtemp(join(tmpdir(), 'sandkeep-dev-'));
  t.after(async () => {
    await stops.get(directory)?.();
    await rm(directory, { recursive: true, force: true });
  });
  await fill(directory);
  await symlink(MODULES, join(directory, 'node_modules'));
  return directory;
}

/** Runs a project until its test ends; its address, and a way to wait for what it prints. */
export async function dev(directory, { args = [], env = {} } = {}) {
  const child = spawn(process.execPath, [COMMAND, 'dev', '--port', '0', ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, SANDKEEP_BIN: PROGRAM, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  child.stderr.on('data', (bytes) => (output += bytes));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  stops.set(directory, async () => {
    child.kill('SIGINT');
    assert.equal(await ended, 0, output);
  });
  const until = async (pattern) => {
    for (let attempt = 0; attempt < 1200; attempt++) {
      const match = pattern.exec(output);
      if (match) return match;
      assert.equal(child.exitCode, null, output);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.fail(`${pattern} did not come:\n${output}`);
  };
  const [, url] = await until(/runs at (http:\S+)/);
  return { url, until };
}
