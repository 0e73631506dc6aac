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
  const miniflare = await tool<typeof Mini>('miniflare', project);
  const esbuild = await tool<typeof Esbuild>('esbuild', project);
  const worker = new ReloadedWorker(miniflare, supported(project, miniflare, events), server, port, events);
  const context = await esbuild.context({
    ...buildOptions(project),
    plugins: [{ name: 'run', setup: (build) => build.onEnd((result) => worker.reload(result)) }],
  });
  const stop = async () => {
    await context.dispose();
    await worker.stop();
  };
  try {
    await context.watch();
    return { url: await worker.started, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** With a compatibility date that this workerd knows. */
function supported(project: Project, { supportedCompatibilityDate: newest }: typeof Mini, events: Events): Project {
  if (project.compatibilityDate <= newest) return project;
  events.warned(`compatibility date ${project.compatibilityDate}: the newest of this workerd, ${newest}, is used`);
  return { ...project, compatibilityDate: newest };
}

/** The Worker of the last build that could be run. */
class ReloadedWorker {
  /** Its address, once it runs; refused if the first build cannot be run. */
  readonly started: Promise<string>;
  private resolve!: (url: string) => void;
  private reject!: (error: unknown) => void;
  private worker: Mini.Miniflare | undefined;
  private hasStarted = false;

  constructor(
    private readonly miniflare: typeof Mini,
    private readonly project: Project,
    private readonly server: Server,
    private readonly port: number,
    private readonly events: Events,
  ) {
    this.started = new Promise((resolve, reject) => ([this.resolve, this.reject] = [resolve, reject]));
  }

  /** Runs what was built. */
  async reload(result: Esbuild.BuildResult): Promise<void> {
    const script = result.outputFiles?.[0]?.text;
    if (result.errors.length > 0 || script === undefined) {
      this.events.warned(`${this.project.main} does not build; waiting for a change`);
      this.reject(new UserError(`${this.project.main} does not build`));
      return;
    }
    try {
      if (this.worker === undefined) this.worker = this.make(script);
      else await this.worker.setOptions(this.options(script));
      const { port } = await this.worker.ready;
      if (this.hasStarted) this.events.reloaded();
      this.hasStarted = true;
      this.resolve(`http://127.0.0.1:${port}`);
    } catch (error) {
      this.events.warned(`the Worker does not start: ${(error as Error).message}`);
      this.reject(error);
    }
  }

  async stop(): Promise<void> {
    await this.worker?.dispose();
  }

  /** Miniflare would end the process at a signal, before the server has ended: only our listeners stay. */
  private make(script: string): Mini.Miniflare {
    const ours = (['SIGINT', 'SIGTERM'] as const).map((signal) => [signal, process.listeners(signal)] as const);
    const worker = new this.miniflare.Miniflare(this.options(script));
    for (const [signal, listeners] of ours) {
      process.removeAllListeners(signal);
      for (const listener of listeners) process.on(signal, listener);
    }
    return worker;
  }

  private options(script: string): Mini.MiniflareOptions {
    const { project, server } = this;
    const { Log, LogLevel } = this.miniflare;
    return {
      host: '127.0.0.1',
      port: this.port,
      log: new Log(LogLevel.WARN),
      cf: false,
      kvPersist: join(project.directory, '.sandkeep', 'kv'),
      durableObjectsPersist: join(project.directory, '.sandkeep', 'objects'),
      workers: [mainWorker(project, server, script), ...project.buckets.map((bucket) => bucketWorker(bucket, project, server))],
    };
  }
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
