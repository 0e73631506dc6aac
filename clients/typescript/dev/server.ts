// The Sandkeep server that a project uses: one that runs, or one of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { type Project, UserError } from './project.js';

/** A server that answers. */
export interface Server {
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly s3: { readonly endpoint: string; readonly region: string };
  /** Of the S3 endpoint; none: not known here. */
  readonly keys: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly bindings: { readonly binding: string; readonly bucket: string; readonly endpoint?: string }[];
  stop(): Promise<void>;
}

interface Info {
  s3Endpoint: string;
  s3Region: string;
  bindings: { binding: string; bucket: string; endpoint?: string }[];
}

const START_TIMEOUT_MS = 30_000;

/** The server that was named, or a new one for the project, whose data lies in `.sandkeep/` there. */
export async function findServer(project: Project, url: string | undefined, environment: string | undefined): Promise<Server> {
  const given = url ?? process.env.SANDKEEP_URL;
  return given === undefined ? startServer(project, environment) : useServer(given.replace(/\/+$/, ''), project);
}

async function useServer(url: string, project: Project): Promise<Server> {
  const apiKey = process.env.SANDKEEP_API_KEY ?? process.env.SANDBOX_API_KEY;
  const info = await about(url, apiKey);
  for (const { binding, bucket } of project.buckets) {
    const known = info.bindings.find((known) => known.binding === binding);
    if (known?.bucket !== bucket) {
      throw new UserError(
        `the server at ${url} ${known ? `knows ${binding} as the bucket ${known.bucket}` : `does not know the binding ${binding}`}; ` +
          `start it in ${project.directory}, or with \`${binding} = "${bucket}"\` below [bindings] in its sandkeep.toml`,
      );
    }
  }
  const keys = ownKeys();
  return { url, apiKey, keys, s3: endpointOf(info), bindings: info.bindings, stop: async () => {} };
}

async function startServer(project: Project, environment: string | undefined): Promise<Server> {
  const program = process.env.SANDKEEP_BIN ?? 'sandkeep';
  const [port, s3Port] = [await freePort(), await freePort()];
  const keys = ownKeys() ?? { accessKeyId: `dev${randomBytes(8).toString('hex')}`, secretAccessKey: randomBytes(24).toString('base64url') };
  const data = join(project.directory, '.sandkeep', 'data');
  const args = ['serve', '--listen', `127.0.0.1:${port}`, '--s3-listen', `127.0.0.1:${s3Port}`, '--data', data];
  if (environment !== undefined) args.push('--env', environment);
  const child = spawn(program, args, {
    cwd: project.directory,
    env: {
      ...process.env,
      SANDKEEP_WRANGLER: project.file,
      SANDKEEP_S3_ACCESS_KEY_ID: keys.accessKeyId,
      SANDKEEP_S3_SECRET_ACCESS_KEY: keys.secretAccessKey,
      SANDBOX_API_KEY: undefined,
      SANDKEEP_API_KEY: undefined,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
    // Ctrl-C ends it through us, after the Worker.
    detached: true,
  });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, url, program);
  const info = await about(url, undefined);
  return { url, apiKey: undefined, keys, s3: endpointOf(info), bindings: info.bindings, stop: () => stop(child) };
}

async function untilReady(child: ChildProcess, url: string, program: string): Promise<void> {
  const failure = new Promise<never>((_, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const hint = 'install it (cargo install --path crates/cli), set SANDKEEP_BIN, or name a running server with --url';
      reject(new UserError(error.code === 'ENOENT' ? `the program \`${program}\` is not installed: ${hint}` : error.message));
    });
    child.once('exit', (code) => reject(new UserError(`\`${program} serve\` ended with code ${code}; its reason is above`)));
  });
  failure.catch(() => {});
  const ready = async () => {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await fetch(`${url}/health`).catch(() => undefined))?.ok) {
      if (Date.now() > deadline) throw new UserError(`\`${program} serve\` does not answer at ${url}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await Promise.race([ready(), failure]);
}

/** Makes the buckets of the project's bindings that lie in the server's own store, where they are missing. */
export async function makeBuckets(server: Server, project: Project): Promise<void> {
  const remote = new Set(server.bindings.filter(({ endpoint }) => endpoint !== undefined).map(({ binding }) => binding));
  const headers = { 'content-type': 'application/json', ...authorization(server.apiKey) };
  for (const { binding, bucket } of project.buckets.filter(({ binding }) => !remote.has(binding))) {
    const body = JSON.stringify({ name: bucket });
    const response = await fetch(`${server.url}/v1/buckets`, { method: 'POST', headers, body });
    if (response.ok || response.status === 409) continue;
    throw new UserError(`the bucket ${bucket} of ${binding} cannot be made: ${await response.text()}`);
  }
}

async function about(url: string, apiKey: string | undefined): Promise<Info> {
  const response = await fetch(`${url}/v1/info`, { headers: authorization(apiKey) }).catch(() => {
    throw new UserError(`no server answers at ${url}; is \`sandkeep serve\` running?`);
  });
  if (response.status === 401) throw new UserError(`the server at ${url} wants a key: set SANDKEEP_API_KEY`);
  if (!response.ok) throw new UserError(`the server at ${url} answered ${response.status}`);
  return (await response.json()) as Info;
}

function authorization(apiKey: string | undefined): Record<string, string> {
  return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
}

function endpointOf(info: Info): Server['s3'] {
  return { endpoint: info.s3Endpoint, region: info.s3Region };
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Of the S3 endpoint, if the environment has them. */
function ownKeys(): Server['keys'] {
  const { SANDKEEP_S3_ACCESS_KEY_ID: accessKeyId, SANDKEEP_S3_SECRET_ACCESS_KEY: secretAccessKey } = process.env;
  return accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined;
}
