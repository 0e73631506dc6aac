// Compiled, not run: what the types promise.
import {
  type DirectoryBackup,
  type ExecResult,
  BackupCreateError,
  BucketMountError,
  ContainerProxy,
  InvalidMountConfigError,
  Sandbox,
  SandboxError,
  getSandbox,
} from '../src/index.js';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<_ extends true>(): void {}

declare const env: { Sandbox: { idFromName(name: string): unknown }; BUCKET: unknown };
const sandbox = getSandbox(env.Sandbox, 'x');
holds<Equal<typeof sandbox, Sandbox>>();
holds<Equal<ReturnType<typeof sandbox.exec>, Promise<ExecResult>>>();
holds<Equal<ReturnType<typeof sandbox.createBackup>, Promise<DirectoryBackup>>>();
void sandbox.mountBucket('B', '/data');
void sandbox.mountBucket('B', '/data', { localBucket: true, prefix: '/x/' });
void sandbox.readFile('/x').then(({ content }) => holds<Equal<typeof content, string>>());
void sandbox.readFile('/x', { encoding: 'none' }).then(({ content }) => holds<Equal<typeof content, ReadableStream<Uint8Array>>>());
// @ts-expect-error a backup needs a directory
void sandbox.createBackup({});
// @ts-expect-error providers are r2, s3 and gcs
void sandbox.mountBucket('B', '/data', { endpoint: 'https://x', provider: 'b2' });
const error: BucketMountError = new InvalidMountConfigError({ code: 'INVALID_MOUNT_CONFIG', message: '', context: {}, httpStatus: 400, timestamp: '' });
const base: SandboxError = error;
export { BackupCreateError, ContainerProxy, base };
