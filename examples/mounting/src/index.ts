// The guide "Mount buckets", sample by sample, as it is printed. `GET /NAME` runs one.
import { ContainerProxy, getSandbox, type Sandbox as SandboxHandle } from '@cloudflare/sandbox';

export { Sandbox } from '@cloudflare/sandbox';
export { ContainerProxy };

interface Env {
  Sandbox: unknown;
  MY_BUCKET: R2Bucket;
  LOCAL_DEV?: string;
  R2_ACCESS_KEY_ID: string;
  R2_SECRET_ACCESS_KEY: string;
  AWS_ACCESS_KEY_ID: string;
  AWS_SECRET_ACCESS_KEY: string;
  GCS_ACCESS_KEY_ID: string;
  GCS_SECRET_ACCESS_KEY: string;
  ACCESS_KEY_ID: string;
  SECRET_ACCESS_KEY: string;
}

type Sample = (sandbox: SandboxHandle, env: Env) => Promise<unknown>;

const results = { rows: 2 };
const imageData = 'not really a photo';

const samples: Record<string, Sample> = {
  // "Mount an R2 bucket"
  async binding(_, env) {
    const sandbox = getSandbox(env.Sandbox, 'data-processor');

    // Mount R2 bucket by Worker binding name
    await sandbox.mountBucket('MY_BUCKET', '/data');

    // Access bucket with standard filesystem operations
    await sandbox.exec('ls', { args: ['/data'] });
    await sandbox.writeFile('/data/results.json', JSON.stringify(results));

    // Use from Python
    const described = await sandbox.exec('python', {
      args: [
        '-c',
        `
import pandas as pd
df = pd.read_csv('/data/input.csv')
df.describe().to_csv('/data/summary.csv')
`,
      ],
    });
    return described.exitCode;
  },

  // "Automatic detection"
  async detected(sandbox) {
    // Credentials automatically detected from environment for remote endpoint mounts
    await sandbox.mountBucket('my-r2-bucket', '/data', {
      endpoint: 'https://YOUR_ACCOUNT_ID.r2.cloudflarestorage.com'
    });
  },

  // "Explicit credentials"
  async explicit(sandbox, env) {
    await sandbox.mountBucket('my-r2-bucket', '/data', {
      endpoint: 'https://YOUR_ACCOUNT_ID.r2.cloudflarestorage.com',
      credentials: {
        accessKeyId: env.R2_ACCESS_KEY_ID,
        secretAccessKey: env.R2_SECRET_ACCESS_KEY
      }
    });
  },

  // "Credential proxy"
  async proxy(sandbox, env) {
    await sandbox.mountBucket('my-bucket', '/data', {
      endpoint: 'https://YOUR_ACCOUNT_ID.r2.cloudflarestorage.com',
      provider: 'r2',
      credentials: {
        accessKeyId: env.R2_ACCESS_KEY_ID,
        secretAccessKey: env.R2_SECRET_ACCESS_KEY
      },
      credentialProxy: true
    });
  },

  // "Mount bucket subdirectories"
  async prefixes(sandbox) {
    // Mount only the /uploads/images/ subdirectory
    await sandbox.mountBucket('MY_BUCKET', '/images', {
      prefix: '/uploads/images/'
    });

    // Files appear at mount point without the prefix
    // Bound bucket: my-r2-bucket/uploads/images/photo.jpg
    // Mounted path: /images/photo.jpg
    await sandbox.exec('ls', { args: ['/images'] });

    // Write to subdirectory
    await sandbox.writeFile('/images/photo.jpg', imageData);
    // Creates my-r2-bucket/uploads/images/photo.jpg

    // Mount different prefixes to different paths
    await sandbox.mountBucket('MY_BUCKET', '/training-data', {
      prefix: '/ml/training/'
    });

    await sandbox.mountBucket('MY_BUCKET', '/test-data', {
      prefix: '/ml/testing/'
    });
  },

  // "Read-only mounts"
  async readOnly(sandbox) {
    await sandbox.mountBucket('MY_BUCKET', '/data', {
      readOnly: true
    });

    // Reads work
    await sandbox.exec('cat', { args: ['/data/dataset.csv'] });

    // Writes fail
    await sandbox.writeFile('/data/new-file.txt', 'data');  // Error: Read-only filesystem
  },

  // "Local development"
  async local(sandbox) {
    await sandbox.mountBucket('MY_BUCKET', '/data', {
      localBucket: true
    });

    // Access files using standard operations
    await sandbox.exec('ls', { args: ['/data'] });
    await sandbox.writeFile('/data/results.json', JSON.stringify(results));
  },

  // "Local development", note
  async toggled(sandbox, env) {
    const mountOptions = env.LOCAL_DEV ? { localBucket: true } : {};
    await sandbox.mountBucket('MY_BUCKET', '/data', mountOptions);
  },

  // "Local development", readOnly and prefix
  async localOptions(sandbox) {
    // Read-only local mount
    await sandbox.mountBucket('MY_BUCKET', '/data', {
      localBucket: true,
      readOnly: true
    });

    // Mount a subdirectory
    await sandbox.mountBucket('MY_BUCKET', '/images', {
      localBucket: true,
      prefix: '/uploads/images/'
    });
  },

  // "Unmount buckets"
  async unmount(sandbox) {
    // Mount for processing
    await sandbox.mountBucket('MY_BUCKET', '/data');

    // Do work
    await sandbox.exec('python process_data.py');

    // Clean up
    await sandbox.unmountBucket('/data');
  },

  // "Amazon S3"
  async s3(sandbox, env) {
    await sandbox.mountBucket('my-s3-bucket', '/data', {
      endpoint: 'https://s3.us-west-2.amazonaws.com',
      credentials: {
        accessKeyId: env.AWS_ACCESS_KEY_ID,
        secretAccessKey: env.AWS_SECRET_ACCESS_KEY
      }
    });
  },

  // "Google Cloud Storage"
  async gcs(sandbox, env) {
    await sandbox.mountBucket('my-gcs-bucket', '/data', {
      endpoint: 'https://storage.googleapis.com',
      credentials: {
        accessKeyId: env.GCS_ACCESS_KEY_ID,
        secretAccessKey: env.GCS_SECRET_ACCESS_KEY
      }
    });
  },

  // "Other S3-compatible providers"
  async other(sandbox, env) {
    await sandbox.mountBucket('my-bucket', '/data', {
      endpoint: 'https://s3.us-west-000.backblazeb2.com',
      credentials: {
        accessKeyId: env.ACCESS_KEY_ID,
        secretAccessKey: env.SECRET_ACCESS_KEY
      }
    });
  },

  // "Mount failed error"
  async failed(sandbox) {
    try {
      await sandbox.mountBucket('MY_BUCKET', '/data');
    } catch (error) {
      console.error('Mount failed:', error.message);
      // Check binding name, ContainerProxy export, or remote endpoint configuration
    }
  },

  // "Path already mounted error"
  async used(sandbox) {
    await sandbox.mountBucket('MY_BUCKET', '/data');
    const error = await sandbox.mountBucket('S3', '/data').catch((error: Error) => `${error.name}: ${error.message}`);

    // Unmount existing
    await sandbox.unmountBucket('/data');

    // Or use different path
    await sandbox.mountBucket('bucket2', '/storage', { endpoint: '...' }).catch(() => {});
    return error;
  },

  // "R2 binding not found error"
  async unbound(sandbox) {
    await sandbox.mountBucket('MY_R2_BUCKET', '/data');
  },

  // "Slow file access"
  async copied(sandbox) {
    await sandbox.mountBucket('MY_BUCKET', '/data');
    await sandbox.writeFile('/workspace/process.py', "import shutil, sys; shutil.copy(sys.argv[1], 'results.json')");

    // Copy to local filesystem
    await sandbox.exec('cp', { args: ['/data/large-dataset.csv', '/workspace/dataset.csv'] });

    // Work with local copy (faster)
    await sandbox.exec('python', { args: ['process.py', '/workspace/dataset.csv'] });

    // Save results back to bucket
    await sandbox.exec('cp', { args: ['/workspace/results.json', '/data/results/output.json'] });
  },
};

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const name = new URL(request.url).pathname.slice(1);
    const key = decodeURIComponent(name);
    if (request.method === 'PUT') {
      await env.MY_BUCKET.put(key, request.body);
      return new Response(null, { status: 204 });
    }
    if (name.startsWith('object/')) {
      const object = await env.MY_BUCKET.get(key.slice('object/'.length));
      return object ? new Response(object.body) : new Response('no such object', { status: 404 });
    }
    const sample = samples[name];
    if (!sample) return Response.json({ samples: Object.keys(samples) }, { status: 404 });
    const sandbox = getSandbox(env.Sandbox, `sample-${name}`);
    try {
      const result = await sample(sandbox, env);
      return Response.json({ result: result ?? null, mounts: await sandbox.listMounts().catch(() => []) });
    } catch (error) {
      const { name, code, message } = error as Error & { code?: string };
      return Response.json({ error: `${name}: ${message}`, code, isError: error instanceof Error });
    } finally {
      await sandbox.destroy();
    }
  },
};
