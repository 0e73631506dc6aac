import * as commands from './commands.js';
import { parseSSEStream } from './events.js';
import { localError } from './errors.js';
import { mountVariables } from './configuration.js';
import * as files from './files.js';
import { ProcessHandle, type ProcessRecord } from './process.js';
import type { Transport } from './transport.js';
import type * as types from './types.js';

/** What a sandbox and a session of it have in common: commands, files, processes, buckets, backups. */
export abstract class Scope {
  /** @internal */
  protected constructor(
    /** @internal */ protected readonly transport: Transport,
    /** @internal `/v1/sandboxes/ID`. */ protected readonly path: string,
    /** @internal None: the default session; null: a fresh shell for each command. */
    protected readonly sessionId: string | null | undefined,
  ) {}

  /**
   * Runs a command to its end. A command that fails is a result with `success: false`, not an error.
   *
   * @example
   * ```ts
   * await sandbox.exec('npm run build');                       // a line for the shell
   * await sandbox.exec('python', { args: ['-c', program] });   // a program and its arguments, verbatim
   * ```
   */
  exec(command: string, options: types.ExecOptions = {}): Promise<types.ExecResult> {
    return commands.exec(this.target(), command, options);
  }

  /** Runs a command; its events come as they happen: `parseSSEStream<ExecEvent>(stream)`. */
  execStream(command: string, options: types.StreamOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return commands.execStream(this.target(), command, options);
  }

  /** Sets variables of the session; undefined or null unsets. */
  async setEnvVars(envVars: types.Variables): Promise<void> {
    const json = { env: commands.variables(envVars), sessionId: this.sessionId ?? undefined };
    await this.transport.json({ method: 'POST', path: `${this.path}/env`, json, idempotent: true });
  }

  /** Writes a file, with the directories above it. A file that is there is replaced at once, keeping its mode. */
  writeFile(
    path: string,
    content: string | Uint8Array | ArrayBuffer | ReadableStream<Uint8Array>,
    options: { encoding?: string } = {},
  ): Promise<types.FileResult> {
    const body = files.contentToSend(content, options.encoding);
    return this.transport.json({ method: 'PUT', path: `${this.path}/files`, query: this.at(path), body, idempotent: true });
  }

  /** A file in one piece, at most 32 MiB; text or base64, by its kind. With `encoding: 'none'` as a stream of bytes. */
  readFile(path: string, options: { encoding: 'none' }): Promise<types.ReadFileStreamResult>;
  readFile(path: string, options?: { encoding?: Exclude<types.FileEncoding, 'none'> }): Promise<types.ReadFileResult>;
  async readFile(
    path: string,
    options: { encoding?: types.FileEncoding } = {},
  ): Promise<types.ReadFileResult | types.ReadFileStreamResult> {
    const response = await this.transport.send({ method: 'GET', path: `${this.path}/files`, query: this.at(path) });
    const { mimeType, isText } = files.media(response.headers.get('content-type'));
    const about = { success: true as const, path, mimeType, timestamp: new Date().toISOString() };
    if (options.encoding === 'none') {
      const content = response.body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
      return { ...about, content, size: Number(response.headers.get('content-length') ?? 0) };
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    const isBinary = !isText;
    const encoding = options.encoding === undefined ? (isBinary ? 'base64' : 'utf-8') : asRead(options.encoding);
    const content = encoding === 'base64' ? files.toBase64(bytes) : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    return { ...about, content, encoding, isBinary, size: bytes.length };
  }

  /** A file of any size as events, for `streamFile` and `collectFile`. */
  readFileStream(path: string): Promise<ReadableStream<Uint8Array>> {
    return this.transport.stream({ method: 'GET', path: `${this.path}/files/stream`, query: this.at(path) });
  }

  /** Makes a directory. */
  async mkdir(path: string, options: { recursive?: boolean } = {}): Promise<types.MkdirResult> {
    const recursive = options.recursive ?? false;
    const call = { method: 'POST', path: `${this.path}/directories`, query: this.at(path), json: { recursive } } as const;
    return { ...(await this.transport.json<types.FileResult>(call)), recursive };
  }

  /** Deletes a file. Directories: `exec('rm', { args: ['-rf', path] })`. */
  deleteFile(path: string): Promise<types.FileResult> {
    return this.transport.json({ method: 'DELETE', path: `${this.path}/files`, query: this.at(path) });
  }

  /** Gives a file another name. */
  renameFile(oldPath: string, newPath: string): Promise<types.MoveFileResult> {
    return this.moveFile(oldPath, newPath);
  }

  /** Moves a file or directory, also from one bucket or filesystem to another. */
  moveFile(sourcePath: string, destinationPath: string): Promise<types.MoveFileResult> {
    const json = { destination: destinationPath };
    return this.transport.json({ method: 'POST', path: `${this.path}/files/move`, query: this.at(sourcePath), json });
  }

  /** Whether something is there. */
  exists(path: string): Promise<types.FileExistsResult> {
    return this.transport.json({ method: 'GET', path: `${this.path}/files/exists`, query: this.at(path) });
  }

  /** What a directory holds. */
  listFiles(path: string, options: types.ListFilesOptions = {}): Promise<types.ListFilesResult> {
    const { recursive, includeHidden } = options;
    const query = { ...this.at(path), recursive, includeHidden };
    return this.transport.json({ method: 'GET', path: `${this.path}/directories`, query });
  }

  /**
   * Mounts a bucket as a directory, visible in all sessions. Without an endpoint `bucket` names a binding of the server.
   *
   * @example
   * ```ts
   * await sandbox.mountBucket('MY_BUCKET', '/data', { readOnly: true });
   * ```
   */
  async mountBucket(bucket: string, mountPath: string, options: types.MountBucketOptions = {}): Promise<void> {
    const needsKeys = options.endpoint !== undefined && options.credentials === undefined;
    const env = needsKeys ? mountVariables() : {};
    const json = { bucket, mountPath, options, ...(Object.keys(env).length > 0 && { env }) };
    await this.transport.json({ method: 'POST', path: `${this.path}/mounts`, json, idempotent: true });
  }

  /** Takes a bucket away; its data stays in the bucket. */
  async unmountBucket(mountPath: string): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: `${this.path}/mounts`, query: { path: mountPath } });
  }

  /** Buckets that are mounted. */
  async listMounts(): Promise<types.MountInfo[]> {
    const call = { method: 'GET', path: `${this.path}/mounts` } as const;
    return (await this.transport.json<{ mounts: types.MountInfo[] }>(call)).mounts;
  }

  /** Backs a directory up into the bucket of backups. */
  async createBackup(options: types.BackupOptions): Promise<types.DirectoryBackup> {
    const { onProgress, signal, ...json } = options;
    const call = { method: 'POST', path: `${this.path}/backups`, json, signal } as const;
    if (onProgress === undefined) return this.transport.json(call);
    const stream = await this.transport.stream({ ...call, headers: { accept: 'text/event-stream' } });
    for await (const event of parseSSEStream<BackupEvent>(stream, signal)) {
      if (event.type === 'progress') onProgress(progressOf(event));
      else if (event.type === 'complete') return event.backup;
      else throw localError(event.error.code, event.error.message, event.error.httpStatus, event.error.context);
    }
    throw localError('CONNECTION_ERROR', 'the connection broke while the backup was made', 0);
  }

  /** Shows a backup at its directory, at once and copy-on-write; what was changed there before is discarded. */
  restoreBackup(backup: types.DirectoryBackup): Promise<types.RestoreBackupResult> {
    return this.transport.json({ method: 'POST', path: `${this.path}/restore`, json: backup });
  }

  /** Starts a process that runs on its own, also when nobody is connected. */
  async startProcess(command: string, options: types.ProcessOptions = {}): Promise<types.Process> {
    const { onStart, onOutput, onExit, onError, env, ...rest } = options;
    const json = { command, ...rest, env: commands.variables(env), sessionId: this.sessionId };
    try {
      const record = await this.transport.json<ProcessRecord>({ method: 'POST', path: `${this.path}/processes`, json });
      const process = this.handle(record);
      onStart?.(process);
      if (onOutput ?? onExit) void process.follow({ onOutput, onExit, onError });
      return process;
    } catch (error) {
      onError?.(error as Error);
      throw error;
    }
  }

  /** Processes that were started, also those that have ended. */
  async listProcesses(): Promise<types.Process[]> {
    const call = { method: 'GET', path: `${this.path}/processes` } as const;
    const { processes } = await this.transport.json<{ processes: ProcessRecord[] }>(call);
    return processes.map((record) => this.handle(record));
  }

  /** A process, or null. */
  async getProcess(id: string): Promise<types.Process | null> {
    try {
      return this.handle(await this.transport.json<ProcessRecord>({ method: 'GET', path: this.processPath(id) }));
    } catch (error) {
      if ((error as { code?: string }).code === 'PROCESS_NOT_FOUND') return null;
      throw error;
    }
  }

  /** Sends a signal to a process and all it started; default SIGTERM. */
  async killProcess(id: string, signal?: string): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: this.processPath(id), query: { signal } });
  }

  /** Ends all processes; how many there were. */
  async killAllProcesses(): Promise<number> {
    const call = { method: 'DELETE', path: `${this.path}/processes` } as const;
    return (await this.transport.json<{ count: number }>(call)).count;
  }

  /** Forgets processes that have ended; how many there were. */
  async cleanupCompletedProcesses(): Promise<number> {
    const call = { method: 'POST', path: `${this.path}/processes/cleanup` } as const;
    return (await this.transport.json<{ count: number }>(call)).count;
  }

  /** What a process wrote, as far as it is kept. */
  getProcessLogs(id: string): Promise<{ stdout: string; stderr: string; processId: string }> {
    return this.transport.json({ method: 'GET', path: `${this.processPath(id)}/logs` });
  }

  /** What a process wrote and writes: `parseSSEStream<LogEvent>(stream)`. */
  streamProcessLogs(id: string, options: { signal?: AbortSignal } = {}): Promise<ReadableStream<Uint8Array>> {
    const path = `${this.processPath(id)}/stream`;
    return this.transport.stream({ method: 'GET', path, signal: options.signal });
  }

  private handle(record: ProcessRecord): ProcessHandle {
    return new ProcessHandle(this.transport, this.processPath(record.id), record);
  }

  private processPath(id: string): string {
    return `${this.path}/processes/${encodeURIComponent(id)}`;
  }

  private target(): commands.Target {
    return { transport: this.transport, path: this.path, sessionId: this.sessionId };
  }

  private at(path: string): Record<string, string> {
    return { path };
  }
}

type BackupEvent =
  | ({ type: 'progress' } & types.BackupProgress)
  | { type: 'complete'; backup: types.DirectoryBackup }
  | { type: 'error'; error: { code: string; message: string; httpStatus: number; context?: Record<string, unknown> } };

function progressOf(event: types.BackupProgress): types.BackupProgress {
  const { entries, totalBytes, readBytes, uploadedBytes } = event;
  return { entries, totalBytes, readBytes, uploadedBytes };
}

function asRead(encoding: string): 'utf-8' | 'base64' {
  if (encoding === 'base64') return 'base64';
  if (encoding === 'utf-8' || encoding === 'utf8') return 'utf-8';
  throw localError('VALIDATION_FAILED', `encoding "${encoding}": utf-8, utf8, base64 or none is expected`, 400);
}
