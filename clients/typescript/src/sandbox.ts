import { type Place, findServer } from './configuration.js';
import { localError } from './errors.js';
import { Scope } from './scope.js';
import { Transport } from './transport.js';
import type {
  BackupInfo,
  SandboxInfo,
  SandboxOptions,
  SessionDeleteResult,
  SessionOptions,
} from './types.js';
import { variables } from './commands.js';

/**
 * A sandbox by its id. Nothing happens until the first call; then it is started if it does not run.
 *
 * @param place Where the server is: a URL, `{ url, apiKey }`, or anything else (such as a Worker's `env.Sandbox`): the
 * environment says (`SANDKEEP_URL`, `SANDKEEP_API_KEY` or `SANDBOX_API_KEY`), else `http://127.0.0.1:8787`.
 * @param id 1 to 63 characters.
 * @throws SandboxSecurityError for an id that cannot be.
 *
 * @example
 * ```ts
 * const sandbox = getSandbox('http://127.0.0.1:8787', 'data-processor');
 * const { stdout } = await sandbox.exec('python', { args: ['-c', 'print(6 * 7)'] });
 * ```
 */
export function getSandbox(place: Place, id: string, options: SandboxOptions = {}): Sandbox {
  return new Sandbox(place, id, options);
}

/** A sandbox. Made by {@link getSandbox}. */
export class Sandbox extends Scope {
  /** Its id. */
  readonly id: string;
  private readonly options: SandboxOptions;
  private configured: Promise<void> | undefined;

  /** @internal */
  constructor(place: Place, id: string, options: SandboxOptions = {}) {
    const name = checkedId(options.normalizeId ? id.toLowerCase() : id);
    const transport = new Transport(findServer(place), () => this.configure());
    super(transport, `/v1/sandboxes/${encodeURIComponent(name)}`, options.enableDefaultSession === false ? null : undefined);
    this.id = name;
    this.options = options;
  }

  /** About the sandbox, if it runs. */
  info(): Promise<SandboxInfo> {
    return this.transport.json({ method: 'GET', path: this.path });
  }

  /** Ends everything in it and forgets its files. Data in buckets stays. The id may be used again. */
  async destroy(): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: this.path, idempotent: true });
    this.configured = undefined;
  }

  /** Makes a session: a shell that keeps its directory and variables between commands. */
  async createSession(options: SessionOptions = {}): Promise<ExecutionSession> {
    const json = { ...options, env: variables(options.env) };
    const call = { method: 'POST', path: `${this.path}/sessions`, json } as const;
    const { id } = await this.transport.json<{ id: string }>(call);
    return this.session(id);
  }

  /** A session by its id; one that is not there is made on first use. */
  async getSession(sessionId: string): Promise<ExecutionSession> {
    return this.session(sessionId);
  }

  /** Ends a session and its processes. */
  deleteSession(sessionId: string): Promise<SessionDeleteResult> {
    const path = `${this.path}/sessions/${encodeURIComponent(sessionId)}`;
    return this.transport.json({ method: 'DELETE', path });
  }

  /** All backups in the bucket of backups, newest first. */
  async listBackups(): Promise<BackupInfo[]> {
    return (await this.transport.json<{ backups: BackupInfo[] }>({ method: 'GET', path: '/v1/backups' })).backups;
  }

  /** Deletes a backup's objects. Sandboxes that show it lose what they have not read yet. */
  async deleteBackup(backup: string | { id: string }): Promise<void> {
    const id = typeof backup === 'string' ? backup : backup.id;
    const path = `/v1/backups/${encodeURIComponent(id)}`;
    await this.transport.json({ method: 'DELETE', path, idempotent: true });
  }

  private session(id: string): ExecutionSession {
    return new ExecutionSession(this.transport, this.path, id);
  }

  /** Tells the server the options, once, before the first call. */
  private configure(): Promise<void> {
    const { sleepAfter, keepAlive, labels } = this.options;
    if (sleepAfter === undefined && keepAlive === undefined && labels === undefined) return Promise.resolve();
    this.configured ??= this.transport
      .json<void>({ method: 'PUT', path: this.path, json: { sleepAfter, keepAlive, labels }, idempotent: true, isSetup: true })
      .catch((error: unknown) => {
        this.configured = undefined;
        throw error;
      });
    return this.configured;
  }
}

/** A session of a sandbox: its commands share a shell, its directory and its variables. */
export class ExecutionSession extends Scope {
  /** @internal */
  constructor(transport: Transport, path: string, readonly id: string) {
    super(transport, path, id);
  }
}

/** Exported because Workers of the system that this client replaces export it; it does nothing, nothing needs it. */
export class ContainerProxy {}

const RESERVED = ['www', 'api', 'admin', 'root', 'system', 'cloudflare', 'workers'];

/** The rules of the server, so that a bad id fails where it is written and not at the first call. */
function checkedId(id: string): string {
  if (typeof id !== 'string' || id.length < 1 || id.length > 63) {
    throw localError('INVALID_SANDBOX_ID_LENGTH', 'Sandbox ID must be 1-63 characters long.', 400, { sandboxId: id });
  }
  if (id.startsWith('-') || id.endsWith('-')) {
    throw localError('INVALID_SANDBOX_ID_HYPHENS', 'Sandbox ID cannot start or end with hyphens (DNS requirement).', 400, { sandboxId: id });
  }
  if (RESERVED.includes(id.toLowerCase())) {
    throw localError('RESERVED_SANDBOX_ID', `Reserved sandbox ID '${id}' is not allowed.`, 400, { sandboxId: id });
  }
  return id;
}
