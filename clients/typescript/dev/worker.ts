// A project's Worker in workerd, made again when its files change.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import type * as Esbuild from 'esbuild';
import type * as Mini from 'miniflare';

import { type Project, UserError } from './project.js';
import { type Store, forward } from './s3.js';
import type { Server } from './server.js';

/** Modules that import the documents' SDK get this client. */
const SDK = ['@cloudflare/sandbox', 'sandkeep'];
const HERE = dirname(fileURLToPath(import.meta.url));

/** A Worker that runs. */
export interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

/** What happens while it runs. */
export interface Events {
  reloaded(): void;
  warned(message: string): void;
}

/** Builds and runs a project's Worker. */
export async function runWorker(project: Project, server: Server, port: number, events: Events): Promise<Running> {
  const { Miniflare, Log, LogLevel, supportedCompatibilityDate } = await tool<typeof Mini>('miniflare', project);
  const esbuild = await tool<typeof Esbuild>('esbuild', project);
  if (project.compatibilityDate > supportedCompatibilityDate) {
    const { compatibilityDate: wanted } = project;
    events.warned(`compatibility date ${wanted}: the newest of this workerd, ${supportedCompatibilityDate}, is used`);
    project = { ...project, compatibilityDate: supportedCompatibilityDate };
  }
  let worker: Mini.Miniflare | undefined;
  const options = (script: string): Mini.MiniflareOptions => ({
    host: '127.0.0.1',
    port,
    log: new Log(LogLevel.WARN),
    cf: false,
    kvPersist: join(project.directory, '.sandkeep', 'kv'),
    durableObjectsPersist: join(project.directory, '.sandkeep', 'objects'),
    workers: [mainWorker(project, server, script), ...project.buckets.map((bucket) => bucketWorker(bucket, project, server))],
  });
  let started: (() => void) | undefined;
  let refused: ((error: unknown) => void) | undefined;
  const first = new Promise<void>((resolve, reject) => ([started, refused] = [resolve, reject]));
  const run = async (result: Esbuild.BuildResult) => {
    const script = result.outputFiles?.[0]?.text;
    if (result.errors.length > 0 || script === undefined) {
      events.warned(`${project.main} does not build; waiting for a change`);
      refused?.(new UserError(`${project.main} does not build`));
      return;
    }
    try {
      if (worker === undefined) {
        const signals = ['SIGINT', 'SIGTERM'] as const;
        const ours = signals.map((signal) => process.listeners(signal));
        worker = new Miniflare(options(script));
        // It would end the process at once, before the server has ended.
        signals.forEach((signal, index) => {
          process.removeAllListeners(signal);
          for (const listener of ours[index] ?? []) process.on(signal, listener);
        });
      } else {
        await worker.setOptions(options(script));
      }
      await worker.ready;
      if (started === undefined) events.reloaded();
      started?.();
      started = refused = undefined;
    } catch (error) {
      events.warned(`the Worker does not start: ${(error as Error).message}`);
      refused?.(error);
    }
  };
  const context = await esbuild.context({
    ...buildOptions(project),
    plugins: [{ name: 'run', setup: (build) => build.onEnd(run) }],
  });
  await context.watch();
  const stop = async () => {
    await context.dispose();
    await worker?.dispose();
  };
  await first.catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url: `http://127.0.0.1:${(await worker!.ready).port}`, stop };
}

function buildOptions(project: Project): Esbuild.BuildOptions {
  const client = join(HERE, 'index.js');
  return {
    stdin: { contents: entry(project), resolveDir: project.directory, sourcefile: 'sandkeep-dev-entry.js', loader: 'js' },
    alias: Object.fromEntries(SDK.map((name) => [name, client])),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    sourcemap: 'inline',
    write: false,
    outfile: 'worker.js',
    logLevel: 'warning',
  };
}

/** Around the project's module: what `env` holds is known to the client before the first call. */
function entry(project: Project): string {
  const main = JSON.stringify(project.main);
  return `
    import * as project from ${main};
    import { useEnvironment } from 'sandkeep';
    export * from ${main};
    const wrapped = (method) => function (event, env, context) {
      useEnvironment(env);
      return project.default[method].call(project.default, event, env, context);
    };
    const methods = ['fetch', 'scheduled', 'queue', 'email'].filter((method) => project.default?.[method]);
    export default typeof project.default === 'function'
      ? project.default
      : { ...project.default, ...Object.fromEntries(methods.map((method) => [method, wrapped(method)])) };`;
}

function mainWorker(project: Project, server: Server, script: string): Mini.WorkerOptions {
  // A class of the SDK is no Durable Object here: the server keeps the sandboxes.
  const isSandbox = (name: string) => name === 'Sandbox' || project.containers.includes(name);
  const [sandboxes, others] = [project.durableObjects.filter((object) => isSandbox(object.class)), project.durableObjects.filter((object) => !isSandbox(object.class))];
  return {
    name: project.name,
    modules: true,
    script,
    compatibilityDate: project.compatibilityDate,
    compatibilityFlags: project.compatibilityFlags,
    bindings: {
      ...(project.variables as Record<string, never>),
      SANDKEEP_URL: server.url,
      ...(server.apiKey !== undefined && { SANDKEEP_API_KEY: server.apiKey }),
      ...Object.fromEntries(sandboxes.map((object) => [object.name, {}])),
    },
    durableObjects: Object.fromEntries(others.map((object) => [object.name, object.class])),
    kvNamespaces: project.namespaces,
    wrappedBindings: Object.fromEntries(project.buckets.map(({ binding }) => [binding, { scriptName: scriptOf(binding) }])),
  };
}

function bucketWorker(bucket: Project['buckets'][number], project: Project, server: Server): Mini.WorkerOptions {
  const store = storeOf(bucket, project, server);
  return {
    name: scriptOf(bucket.binding),
    modules: [{ type: 'ESModule', path: join(HERE, 'bucket.js') }],
    modulesRoot: HERE,
    serviceBindings: {
      // The Request of miniflare's own library does the same as that of Node.
      store: (request: unknown) => forward(store, request as Request) as never,
    },
  };
}

function scriptOf(binding: string): string {
  return `sandkeep-bucket-${binding}`;
}

/** Where a binding's objects are: in the server's own store, or at a remote one with the project's keys. */
function storeOf({ binding, bucket }: Project['buckets'][number], project: Project, server: Server): Store {
  const endpoint = server.bindings.find((known) => known.binding === binding)?.endpoint;
  const variable = (name: string) => process.env[name] ?? (project.variables[name] as string | undefined);
  if (endpoint !== undefined) {
    const [accessKeyId, secretAccessKey] = [variable('R2_ACCESS_KEY_ID'), variable('R2_SECRET_ACCESS_KEY')];
    if (!accessKeyId || !secretAccessKey) {
      throw new UserError(`the bucket of ${binding} is at ${endpoint}: put R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY into .dev.vars`);
    }
    return { endpoint, region: 'auto', bucket, accessKeyId, secretAccessKey };
  }
  if (server.keys === undefined) {
    throw new UserError(
      `${binding} needs keys of the S3 endpoint ${server.s3.endpoint}: set SANDKEEP_S3_ACCESS_KEY_ID and ` +
        'SANDKEEP_S3_SECRET_ACCESS_KEY (`sandkeep keys --export` shows them), or leave --url out',
    );
  }
  return { ...server.s3, ...server.keys, bucket };
}

/** A tool of the project, or of the place where this package is installed. */
async function tool<T>(name: string, project: Project): Promise<T> {
  for (const from of [join(project.directory, 'package.json'), fileURLToPath(import.meta.url)]) {
    try {
      const path = createRequire(from).resolve(name);
      if (existsSync(path)) return (await import(pathToFileURL(path).href)) as T;
    } catch {
      // Not there: the next place.
    }
  }
  throw new UserError(`\`sandkeep dev\` needs ${name}: npm install --save-dev miniflare esbuild`);
}
