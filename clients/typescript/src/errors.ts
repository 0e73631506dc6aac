/** What the server says about a failure, as it travels. */
export interface ErrorResponse<Context = Record<string, unknown>> {
  /** What went wrong, such as `BACKUP_EXPIRED`; docs/errors explains each. */
  readonly code: string;
  /** The same for people. */
  readonly message: string;
  /** Details, by code. */
  readonly context: Context;
  /** Status of the answer; 0: there was none. */
  readonly httpStatus: number;
  /** What was being done. */
  readonly operation?: string | undefined;
  /** When, ISO 8601. */
  readonly timestamp: string;
  /** What to do about it. */
  readonly suggestion?: string | undefined;
}

/** Every failure that the server or this client reports; the subclasses name the kinds. */
export class SandboxError<Context = Record<string, unknown>> extends Error {
  /** What the server said. */
  readonly errorResponse: ErrorResponse<Context>;

  constructor(response: ErrorResponse<Context>, options?: { cause?: unknown }) {
    super(response.message, options);
    this.errorResponse = response;
    this.name = new.target.className;
  }

  /** Names of classes, kept when a bundler shortens identifiers. */
  protected static readonly className: string = 'SandboxError';

  /** What went wrong, such as `BACKUP_EXPIRED`. */
  get code(): string {
    return this.errorResponse.code;
  }

  /** Details, by code. */
  get context(): Context {
    return this.errorResponse.context;
  }

  /** Status of the answer; 0: there was none. */
  get httpStatus(): number {
    return this.errorResponse.httpStatus;
  }

  /** What was being done. */
  get operation(): string | undefined {
    return this.errorResponse.operation;
  }

  /** What to do about it. */
  get suggestion(): string | undefined {
    return this.errorResponse.suggestion;
  }

  /** When, ISO 8601. */
  get timestamp(): string {
    return this.errorResponse.timestamp;
  }

  /** For logs. */
  toJSON(): Record<string, unknown> {
    return { name: this.name, ...this.errorResponse };
  }
}

/** The id of a sandbox cannot be used. */
export class SandboxSecurityError extends SandboxError {
  protected static override readonly className = 'SandboxSecurityError';
}

/** An argument is not what the method takes. */
export class ValidationFailedError extends SandboxError {
  protected static override readonly className = 'ValidationFailedError';
}

/** Something about a bucket in the sandbox failed; the subclasses say what. */
export class BucketMountError extends SandboxError {
  protected static override readonly className: string = 'BucketMountError';
}

/** What to mount, or where, cannot be. */
export class InvalidMountConfigError extends BucketMountError {
  protected static override readonly className = 'InvalidMountConfigError';
}

/** An endpoint mount found no credentials. */
export class MissingCredentialsError extends BucketMountError {
  protected static override readonly className = 'MissingCredentialsError';
}

/** The bucket could not be mounted. */
export class S3FSMountError extends BucketMountError {
  protected static override readonly className = 'S3FSMountError';
}

/** The mount could not be taken away; it is still there. */
export class BucketUnmountError extends BucketMountError {
  protected static override readonly className = 'BucketUnmountError';
}

/** Options of a backup, its handle, or the configuration of backups cannot be. */
export class InvalidBackupConfigError extends SandboxError<{ reason?: string }> {
  protected static override readonly className = 'InvalidBackupConfigError';

  /** Why. */
  get reason(): string {
    return this.context.reason ?? this.message;
  }
}

/** Something about a backup failed; the subclasses say what. */
export class BackupError extends SandboxError<{ dir?: string; backupId?: string; expiredAt?: string }> {
  protected static override readonly className: string = 'BackupError';

  /** The directory. */
  get dir(): string | undefined {
    return this.context.dir;
  }

  /** Which backup. */
  get backupId(): string | undefined {
    return this.context.backupId;
  }
}

/** The backup was not made; nothing is left of it. */
export class BackupCreateError extends BackupError {
  protected static override readonly className = 'BackupCreateError';
}

/** No such backup. */
export class BackupNotFoundError extends BackupError {
  protected static override readonly className = 'BackupNotFoundError';
}

/** The backup's time to live has elapsed. */
export class BackupExpiredError extends BackupError {
  protected static override readonly className = 'BackupExpiredError';

  /** When, ISO 8601. */
  get expiredAt(): string | undefined {
    return this.context.expiredAt;
  }
}

/** The backup was not restored; the directory is as it was. */
export class BackupRestoreError extends BackupError {
  protected static override readonly className = 'BackupRestoreError';
}

/** A file operation failed. */
export class FileSystemError extends SandboxError {
  protected static override readonly className: string = 'FileSystemError';
}

/** No such file or directory in the sandbox. */
export class FileNotFoundError extends FileSystemError {
  protected static override readonly className = 'FileNotFoundError';
}

/** Something is there already. */
export class FileExistsError extends FileSystemError {
  protected static override readonly className = 'FileExistsError';
}

/** The file is larger than what travels in one piece (32 MiB). */
export class FileTooLargeError extends FileSystemError {
  protected static override readonly className = 'FileTooLargeError';
}

/** The filesystem does not permit it. */
export class PermissionDeniedError extends FileSystemError {
  protected static override readonly className = 'PermissionDeniedError';
}

/** A command could not be run. */
export class CommandError extends SandboxError {
  protected static override readonly className = 'CommandError';
}

/** A session of this id is there already. */
export class SessionAlreadyExistsError extends SandboxError {
  protected static override readonly className = 'SessionAlreadyExistsError';
}

/** The session's shell ended, for example by `exit`; the next call starts a fresh one. */
export class SessionTerminatedError extends SandboxError<{ sessionId?: string; exitCode?: number | null }> {
  protected static override readonly className = 'SessionTerminatedError';

  /** Which. */
  get sessionId(): string | undefined {
    return this.context.sessionId;
  }

  /** Of the shell. */
  get exitCode(): number | null {
    return this.context.exitCode ?? null;
  }
}

/** The session was deleted while the command ran. */
export class SessionDestroyedError extends SandboxError {
  protected static override readonly className = 'SessionDestroyedError';
}

/** No such process. */
export class ProcessNotFoundError extends SandboxError {
  protected static override readonly className = 'ProcessNotFoundError';
}

/** The process did not become ready in time. */
export class ProcessReadyTimeoutError extends SandboxError {
  protected static override readonly className = 'ProcessReadyTimeoutError';
}

/** The process ended before it was ready. */
export class ProcessExitedBeforeReadyError extends SandboxError<{ exitCode?: number }> {
  protected static override readonly className = 'ProcessExitedBeforeReadyError';

  /** Of the process. */
  get exitCode(): number | undefined {
    return this.context.exitCode;
  }
}

/** The sandbox ended, or was replaced, while the call ran. */
export class OperationInterruptedError extends SandboxError<{ reason?: string; retryable?: boolean }> {
  protected static override readonly className = 'OperationInterruptedError';

  /** Why. */
  get reason(): string | undefined {
    return this.context.reason;
  }
}

/** The sandbox cannot be started now, or the server is stopping. */
export class ContainerUnavailableError extends SandboxError {
  protected static override readonly className = 'ContainerUnavailableError';
}

/** No bearer key, or a wrong one. */
export class UnauthorizedError extends SandboxError {
  protected static override readonly className = 'UnauthorizedError';
}

/** Not built yet; the message names the option. */
export class NotSupportedError extends SandboxError {
  protected static override readonly className = 'NotSupportedError';
}

/** No server answered, or the connection broke. */
export class ConnectionError extends SandboxError {
  protected static override readonly className = 'ConnectionError';
}

// The contexts differ by class; the code decides which is right.
type AnyClass = new (response: ErrorResponse<any>, options?: { cause?: unknown }) => SandboxError<any>;

const CLASSES: Readonly<Record<string, AnyClass>> = {
  INVALID_SANDBOX_ID_LENGTH: SandboxSecurityError,
  INVALID_SANDBOX_ID_HYPHENS: SandboxSecurityError,
  RESERVED_SANDBOX_ID: SandboxSecurityError,
  VALIDATION_FAILED: ValidationFailedError,
  INVALID_MOUNT_CONFIG: InvalidMountConfigError,
  MISSING_CREDENTIALS: MissingCredentialsError,
  S3FS_MOUNT_ERROR: S3FSMountError,
  BUCKET_MOUNT_ERROR: BucketMountError,
  BUCKET_UNMOUNT_ERROR: BucketUnmountError,
  INVALID_BACKUP_CONFIG: InvalidBackupConfigError,
  BACKUP_CREATE_FAILED: BackupCreateError,
  BACKUP_NOT_FOUND: BackupNotFoundError,
  BACKUP_EXPIRED: BackupExpiredError,
  BACKUP_RESTORE_FAILED: BackupRestoreError,
  FILE_NOT_FOUND: FileNotFoundError,
  FILE_EXISTS: FileExistsError,
  FILE_TOO_LARGE: FileTooLargeError,
  PERMISSION_DENIED: PermissionDeniedError,
  IS_DIRECTORY: FileSystemError,
  NOT_DIRECTORY: FileSystemError,
  NAME_TOO_LONG: FileSystemError,
  READ_ONLY: FileSystemError,
  NO_SPACE: FileSystemError,
  FILESYSTEM_ERROR: FileSystemError,
  RESOURCE_BUSY: FileSystemError,
  INVALID_COMMAND: CommandError,
  COMMAND_NOT_FOUND: CommandError,
  COMMAND_EXECUTION_ERROR: CommandError,
  SESSION_ALREADY_EXISTS: SessionAlreadyExistsError,
  SESSION_TERMINATED: SessionTerminatedError,
  SESSION_DESTROYED: SessionDestroyedError,
  PROCESS_NOT_FOUND: ProcessNotFoundError,
  PROCESS_READY_TIMEOUT: ProcessReadyTimeoutError,
  PROCESS_EXITED_BEFORE_READY: ProcessExitedBeforeReadyError,
  OPERATION_INTERRUPTED: OperationInterruptedError,
  CONTAINER_UNAVAILABLE: ContainerUnavailableError,
  UNAUTHORIZED: UnauthorizedError,
  NOT_SUPPORTED: NotSupportedError,
  CONNECTION_ERROR: ConnectionError,
};

/** @internal The error that a body of the server stands for. */
export function errorFrom(response: ErrorResponse, options?: { cause?: unknown }): SandboxError {
  const Class = CLASSES[response.code] ?? SandboxError;
  return new Class(response, options);
}

/** @internal An error that this client finds itself. */
export function localError(
  code: string,
  message: string,
  httpStatus: number,
  context: Record<string, unknown> = {},
  options?: { cause?: unknown },
): SandboxError {
  return errorFrom({ code, message, context, httpStatus, timestamp: new Date().toISOString() }, options);
}
