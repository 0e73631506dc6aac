export { type Place, type ServerOptions, useEnvironment } from './configuration.js';
export {
  BackupCreateError,
  BackupError,
  BackupExpiredError,
  BackupNotFoundError,
  BackupRestoreError,
  BucketMountError,
  BucketUnmountError,
  CommandError,
  ConnectionError,
  ContainerUnavailableError,
  FileExistsError,
  FileNotFoundError,
  FileSystemError,
  FileTooLargeError,
  InvalidBackupConfigError,
  InvalidMountConfigError,
  MissingCredentialsError,
  NotSupportedError,
  OperationInterruptedError,
  PermissionDeniedError,
  ProcessExitedBeforeReadyError,
  ProcessNotFoundError,
  ProcessReadyTimeoutError,
  S3FSMountError,
  SandboxError,
  SandboxSecurityError,
  SessionAlreadyExistsError,
  SessionDestroyedError,
  SessionTerminatedError,
  UnauthorizedError,
  ValidationFailedError,
  type ErrorResponse,
} from './errors.js';
export { asyncIterableToSSEStream, parseSSEStream, responseToAsyncIterable } from './events.js';
export { collectFile, streamFile } from './files.js';
export { ContainerProxy, ExecutionSession, Sandbox, getSandbox } from './sandbox.js';
export type * from './types.js';
