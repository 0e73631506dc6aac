/** Variables; undefined and null are left out (`setEnvVars`: unset). */
export type Variables = Readonly<Record<string, string | null | undefined>>;

/** What all ways of running a command take. */
export interface BaseExecOptions {
  /** Milliseconds until it is ended; the exit code is then 124. */
  timeout?: number;
  /** For this command only. */
  env?: Variables;
  /** Where; default: the session's directory, else /workspace. */
  cwd?: string;
  /** `utf8` (what is not UTF-8 is replaced) or `base64` (byte-exact). */
  encoding?: string;
}

/** Options of `exec`. */
export interface ExecOptions extends BaseExecOptions {
  /** Arguments, verbatim: the command is then a program, and no shell looks at anything. */
  args?: readonly string[];
  /** Output goes to `onOutput` as it comes. */
  stream?: boolean;
  /** Output as it comes, at character boundaries. */
  onOutput?: (stream: 'stdout' | 'stderr', data: string) => void;
  /** The result, when it has ended. */
  onComplete?: (result: ExecResult) => void;
  /** Why it failed. */
  onError?: (error: Error) => void;
  /** Ends the command. */
  signal?: AbortSignal;
  /** Presets what S3 tools need for `http://s3.internal`. */
  s3Env?: boolean;
}

/** Options of `execStream`. */
export interface StreamOptions extends BaseExecOptions {
  /** Arguments, verbatim. */
  args?: readonly string[];
  /** In which session. */
  sessionId?: string;
  /** Ends the command. */
  signal?: AbortSignal;
}

/** How a command ended. */
export interface ExecResult {
  /** The exit code is 0. */
  success: boolean;
  /** 124 after a timeout, 127 if there is no such program, 128 + signal if a signal ended it. */
  exitCode: number;
  /** Standard output. */
  stdout: string;
  /** Standard error. */
  stderr: string;
  /** What ran, with its arguments. */
  command: string;
  /** Milliseconds. */
  duration: number;
  /** When it was started, ISO 8601. */
  timestamp: string;
  /** In which session. */
  sessionId?: string;
}

/** An event of `execStream`. */
export interface ExecEvent {
  type: 'start' | 'stdout' | 'stderr' | 'complete' | 'error';
  timestamp: string;
  /** Output. */
  data?: string;
  /** What ran (`start`). */
  command?: string;
  /** `complete`. */
  exitCode?: number;
  /** Milliseconds (`complete`). */
  duration?: number;
  /** Why it was cut off (`error`). */
  error?: string;
  /** The same for programs, such as `SESSION_TERMINATED` (`error`). */
  code?: string;
}

/** How `readFile` gives contents. */
export type FileEncoding = 'utf-8' | 'utf8' | 'base64' | 'none';

/** A file in one piece. */
export interface ReadFileResult {
  success: true;
  path: string;
  /** Text, or base64. */
  content: string;
  encoding: 'utf-8' | 'base64';
  isBinary: boolean;
  mimeType: string;
  /** Bytes. */
  size: number;
  timestamp: string;
}

/** A file as it comes. */
export interface ReadFileStreamResult {
  success: true;
  path: string;
  content: ReadableStream<Uint8Array>;
  /** Bytes. */
  size: number;
  mimeType: string;
  timestamp: string;
}

/** A file was changed. */
export interface FileResult {
  success: true;
  path: string;
  timestamp: string;
}

/** A directory was made. */
export interface MkdirResult extends FileResult {
  recursive: boolean;
}

/** Something has another path now. */
export interface MoveFileResult extends FileResult {
  newPath: string;
}

/** Whether something is there. */
export interface FileExistsResult extends FileResult {
  exists: boolean;
}

/** Options of `listFiles`. */
export interface ListFilesOptions {
  /** Also what is in directories below. */
  recursive?: boolean;
  /** Also names that start with a dot. */
  includeHidden?: boolean;
}

/** Something in a directory. */
export interface FileInfo {
  name: string;
  absolutePath: string;
  relativePath: string;
  type: 'file' | 'directory' | 'symlink' | 'other';
  size: number;
  /** ISO 8601. */
  modifiedAt: string;
  /** Such as `rwxr-xr-x`. */
  mode: string;
  /** Of the owner. */
  permissions: { readable: boolean; writable: boolean; executable: boolean };
}

/** What a directory holds. */
export interface ListFilesResult {
  success: true;
  path: string;
  files: FileInfo[];
  count: number;
  timestamp: string;
}

/** First event of `readFileStream`. */
export interface FileMetadata {
  mimeType: string;
  size: number;
  isBinary: boolean;
  encoding: 'utf-8' | 'base64';
}

/** An event of `readFileStream`. */
export type FileStreamEvent =
  | ({ type: 'metadata' } & FileMetadata)
  | { type: 'chunk'; data: string }
  | { type: 'complete'; bytesRead: number }
  | { type: 'error'; error: string };

/** A piece of a file: text, or bytes. */
export type FileChunk = string | Uint8Array;

/** Which kind of S3 server; overrides what the endpoint says. */
export type BucketProvider = 'r2' | 's3' | 'gcs';

/** A key pair for an S3 server. It never enters a sandbox. */
export interface BucketCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  /** Of temporary credentials. */
  sessionToken?: string;
}

/** Options of `mountBucket`. */
export interface MountBucketOptions {
  /** URL of an S3 server; without one, the bucket is the name of a binding of the server. */
  endpoint?: string;
  provider?: BucketProvider;
  /** Default: `AWS_*` or `R2_*` of this side's environment, then of the server's. */
  credentials?: BucketCredentials;
  /** Accepted; credentials never enter the sandbox either way. */
  credentialProxy?: boolean;
  /** Every change fails with "Read-only filesystem". */
  readOnly?: boolean;
  /** Only keys below this; starts with `/`. */
  prefix?: string;
  /** As s3fs takes them. */
  s3fsOptions?: readonly string[];
  /** A binding, too: it is the same real filesystem. */
  localBucket?: boolean;
}

/** A bucket mounted in a sandbox. */
export interface MountInfo {
  bucket: string;
  mountPath: string;
  endpoint?: string;
  prefix?: string;
  readOnly: boolean;
}

/** Options of `createBackup`. */
export interface BackupOptions {
  /** Which directory: in /workspace, /home, /tmp, /var/tmp or /app. */
  dir: string;
  /** At most 256 characters. */
  name?: string;
  /** Seconds until restores are refused; default 259200 (3 days). */
  ttl?: number;
  /** Leave out what git ignores. */
  useGitignore?: boolean;
  /** The same. */
  gitignore?: boolean;
  /** Globs of what to leave out. */
  excludes?: readonly string[];
  /** Default: zstd. */
  compression?: { format?: 'gzip' | 'lz4' | 'zstd'; threads?: number };
  /** Default true; false: one PUT. */
  multipart?: boolean;
  /** Use the binding's bucket directly. */
  localBucket?: boolean;
  /** How far it is. */
  onProgress?: (progress: BackupProgress) => void;
  /** Cancels it; nothing is left. */
  signal?: AbortSignal;
}

/** How far a backup is. */
export interface BackupProgress {
  /** Files, directories and others found. */
  entries: number;
  /** Bytes of all files found. */
  totalBytes: number;
  readBytes: number;
  uploadedBytes: number;
}

/** A backup's handle: plain JSON that may be kept anywhere and used from any sandbox. */
export interface DirectoryBackup {
  readonly id: string;
  readonly dir: string;
  readonly localBucket?: boolean;
}

/** A restore that succeeded. */
export interface RestoreBackupResult {
  success: boolean;
  dir: string;
  id: string;
}

/** What is known of a backup. */
export interface BackupInfo {
  id: string;
  dir: string;
  name: string | null;
  /** Bytes of the archive. */
  sizeBytes: number;
  /** Seconds. */
  ttl: number;
  createdAt: string;
  /** When restores start to be refused. */
  expiresAt?: string;
  entries: number;
  /** Bytes of all files before compression. */
  contentBytes: number;
  excluded: number;
}

/** Options of `createSession`. */
export interface SessionOptions {
  /** Default: `session-<milliseconds>`. */
  id?: string;
  env?: Variables;
  /** Default: /workspace. */
  cwd?: string;
  /** Milliseconds that each command may take. */
  commandTimeoutMs?: number;
}

/** A session is gone. */
export interface SessionDeleteResult {
  success: boolean;
  sessionId: string;
  timestamp: string;
}

/** Options of `getSandbox`. */
export interface SandboxOptions {
  /** Lower-case the id. */
  normalizeId?: boolean;
  /** Seconds, or "30s", "3m", "1h", of idleness until the sandbox sleeps and loses its disk. Servers refuse it as long as
   * sandboxes do not sleep (`NOT_SUPPORTED`). */
  sleepAfter?: number | string;
  /** Never sleep. */
  keepAlive?: boolean;
  /** False: every call without a session runs in a fresh shell. Default: they share one. */
  enableDefaultSession?: boolean;
  /** Accepted for compatibility; this client always speaks HTTP. */
  transport?: 'http' | 'websocket' | 'rpc';
  /** For the caller's own use. */
  labels?: Readonly<Record<string, string>>;
  /** Accepted for compatibility: sandboxes start in milliseconds here. */
  containerTimeouts?: { instanceGetTimeoutMS?: number; portReadyTimeoutMS?: number; waitIntervalMS?: number };
}

/** About a sandbox that runs. */
export interface SandboxInfo {
  id: string;
  running: boolean;
  createdAt: string;
  labels: Record<string, string>;
  mounts: MountInfo[];
  restores: { dir: string; backupId: string }[];
}

/** Where a process stands. */
export type ProcessStatus = 'starting' | 'running' | 'completed' | 'failed' | 'killed' | 'error';

/** Options of `startProcess`. */
export interface ProcessOptions extends BaseExecOptions {
  /** Default: chosen by the server. */
  processId?: string;
  /** Forget it a minute after its end. */
  autoCleanup?: boolean;
  onStart?: (process: Process) => void;
  onOutput?: (stream: 'stdout' | 'stderr', data: string) => void;
  onExit?: (code: number | null) => void;
  onError?: (error: Error) => void;
}

/** Options of `waitForPort`. */
export interface WaitForPortOptions {
  /** Default `http`: any answer within `status`; `tcp`: it accepts. */
  mode?: 'http' | 'tcp';
  /** Default `/`. */
  path?: string;
  /** Default 200 to 399. */
  status?: number | { min: number; max: number };
  /** Milliseconds; default: for ever. */
  timeout?: number;
  /** Milliseconds between attempts; default 500. */
  interval?: number;
}

/** A process that runs on its own. */
export interface Process {
  readonly id: string;
  readonly pid?: number;
  readonly command: string;
  /** When the object was made; `getStatus()` asks again. */
  readonly status: ProcessStatus;
  readonly startTime: Date;
  readonly endTime?: Date;
  readonly exitCode?: number;
  readonly sessionId?: string;
  kill(signal?: string): Promise<void>;
  getStatus(): Promise<ProcessStatus>;
  getLogs(): Promise<{ stdout: string; stderr: string }>;
  waitForLog(pattern: string | RegExp, timeout?: number): Promise<{ line: string; match?: RegExpMatchArray }>;
  waitForPort(port: number, options?: WaitForPortOptions): Promise<void>;
  waitForExit(timeout?: number): Promise<{ exitCode: number }>;
}

/** An event of `streamProcessLogs`. */
export interface LogEvent {
  type: 'stdout' | 'stderr' | 'exit' | 'error';
  timestamp: string;
  data: string;
  processId: string;
  exitCode?: number;
}
