// The guides "Backup and restore" and the reference of `createBackup`, sample by sample, as they are printed.
// `GET /NAME` runs one.
import { getSandbox, type DirectoryBackup, type Sandbox as SandboxHandle } from '@cloudflare/sandbox';

export { Sandbox } from '@cloudflare/sandbox';

interface Env {
  Sandbox: unknown;
  SANDBOX: unknown;
  BACKUP_BUCKET: R2Bucket;
  KV: KVNamespace;
  LOCAL_DEV?: string;
}

type Sample = (sandbox: SandboxHandle, env: Env) => Promise<unknown>;

const userId = 'user-1';
const data = { points: [1, 2, 3] };

const samples: Record<string, Sample> = {
  // "Create a backup"
  async create(_, env) {
    const sandbox = getSandbox(env.Sandbox, 'my-sandbox');

    // Create a backup of /workspace
    const backup = await sandbox.createBackup({ dir: '/workspace' });
    console.log(`Backup created: ${backup.id}`);
    return backup;
  },

  // "Restore a backup"
  async restore(_, env) {
    const sandbox = getSandbox(env.Sandbox, 'my-sandbox');

    // Create a backup
    const backup = await sandbox.createBackup({ dir: '/workspace' });

    // Restore the backup
    const result = await sandbox.restoreBackup(backup);
    console.log(`Restored: ${result.success}`);
    return result;
  },

  // "Exclude gitignored files"
  async gitignore(sandbox) {
    await sandbox.exec('git init -q . && echo node_modules/ > .gitignore && mkdir node_modules && touch node_modules/x kept');

    // Back up only tracked and untracked non-ignored files
    const backup = await sandbox.createBackup({
      dir: '/workspace',
      useGitignore: true,
    });

    await sandbox.restoreBackup(backup);
    return (await sandbox.exec('ls -A')).stdout.split('\n').filter((name) => name);
  },

  // "Checkpoint and rollback"
  async checkpoint(sandbox) {
    await sandbox.writeFile('/workspace/package.json', '{}');

    // Save checkpoint before risky operation
    const checkpoint = await sandbox.createBackup({ dir: '/workspace' });

    try {
      await sandbox.exec('npm install some-experimental-package');
      await sandbox.exec('npm run build');
      await sandbox.exec('rm -rf /workspace/*');
      throw new Error('the build failed');
    } catch (error) {
      // Restore to checkpoint if something goes wrong
      await sandbox.restoreBackup(checkpoint);
      console.log('Rolled back to checkpoint');
    }
    return (await sandbox.readFile('/workspace/package.json')).content;
  },

  // "Store backup handles"
  async handles(sandbox, env) {
    await sandbox.writeFile('/workspace/version', 'v2');

    // Create a backup and store the handle in KV
    const backup = await sandbox.createBackup({
      dir: '/workspace',
      name: 'deploy-v2',
      ttl: 604800, // 7 days
    });

    await env.KV.put(`backup:${userId}`, JSON.stringify(backup));

    await sandbox.destroy();

    // Later, retrieve and restore
    const stored = await env.KV.get(`backup:${userId}`);
    if (stored) {
      const backupHandle = JSON.parse(stored);
      await sandbox.restoreBackup(backupHandle);
    }
    return (await sandbox.readFile('/workspace/version')).content;
  },

  // "Use named backups"
  async named(sandbox) {
    const backup = await sandbox.createBackup({
      dir: '/workspace',
      name: 'before-migration',
    });
    console.log(`Backup ID: ${backup.id}`);
    return (await sandbox.listBackups()).find(({ id }) => id === backup.id)?.name;
  },

  // "Configure TTL"
  async ttl(sandbox) {
    // Short-lived backup for a quick operation
    const shortBackup = await sandbox.createBackup({
      dir: '/workspace',
      ttl: 600, // 10 minutes
    });

    // Long-lived backup for extended workflows
    const longBackup = await sandbox.createBackup({
      dir: '/workspace',
      name: 'daily-snapshot',
      ttl: 604800, // 7 days
    });
    const all = await sandbox.listBackups();
    return [shortBackup, longBackup].map((backup) => all.find(({ id }) => id === backup.id)?.ttl);
  },

  // "How TTL is enforced": a ttl below the margin of 60 seconds has elapsed at once
  async expired(sandbox) {
    const backup = await sandbox.createBackup({ dir: '/workspace', ttl: 30 });
    await sandbox.restoreBackup(backup);
  },

  // "Back up and restore with localBucket"
  async local(sandbox) {
    // Create a local backup
    const backup = await sandbox.createBackup({
      dir: '/workspace',
      localBucket: true,
    });

    // Restore the backup
    const result = await sandbox.restoreBackup(backup);
    console.log(`Restored: ${result.success}`);
    return [backup.localBucket, result.success];
  },

  // "Back up and restore with localBucket", note
  async toggled(sandbox, env) {
    const backup = await sandbox.createBackup({
      dir: '/workspace',
      localBucket: Boolean(env.LOCAL_DEV),
    });
    return backup.localBucket ?? false;
  },

  // "Replace the latest backup (delete-then-write)"
  async replace(_, env) {
    const previousBackup: DirectoryBackup | undefined = await getSandbox(env.Sandbox, 'my-sandbox').createBackup({ dir: '/workspace' });

    const sandbox = getSandbox(env.Sandbox, 'my-sandbox');

    // Delete the previous backup's R2 objects before creating a new one
    if (previousBackup) {
      await env.BACKUP_BUCKET.delete(`backups/${previousBackup.id}/data.sqsh`);
      await env.BACKUP_BUCKET.delete(`backups/${previousBackup.id}/meta.json`);
    }

    // Create a fresh backup
    const backup = await sandbox.createBackup({
      dir: '/workspace',
      name: 'latest',
    });

    // Store the handle so you can delete it next time
    await env.KV.put('latest-backup', JSON.stringify(backup));
    return sandbox.restoreBackup(previousBackup).catch((error: { code: string }) => error.code);
  },

  // "List and delete old backups by prefix"
  async prune(sandbox, env) {
    await sandbox.createBackup({ dir: '/workspace' });

    // List all backup objects in the bucket
    const listed = await env.BACKUP_BUCKET.list({ prefix: 'backups/' });

    for (const object of listed.objects) {
      // Parse the backup ID from the key (backups/{id}/data.sqsh or backups/{id}/meta.json)
      const parts = object.key.split('/');
      const backupId = parts[1];

      // Delete objects older than 7 days
      const ageMs = Date.now() - object.uploaded.getTime();
      const sevenDaysMs = 7 * 24 * 60 * 60 * 1000;
      if (ageMs > sevenDaysMs) {
        await env.BACKUP_BUCKET.delete(object.key);
        console.log(`Deleted expired object: ${object.key}`);
      }
    }
    const left = await env.BACKUP_BUCKET.list({ prefix: 'backups/' });
    return [listed.objects.length >= 2, left.objects.length === listed.objects.length];
  },

  // "Delete a specific backup by ID"
  async remove(sandbox, env) {
    const backup = await sandbox.createBackup({ dir: '/workspace' });

    const backupId = backup.id;
    await env.BACKUP_BUCKET.delete(`backups/${backupId}/data.sqsh`);
    await env.BACKUP_BUCKET.delete(`backups/${backupId}/meta.json`);
    return (await env.BACKUP_BUCKET.list({ prefix: `backups/${backupId}/` })).objects.length;
  },

  // "Copy-on-write behavior"
  async copyOnWrite(_, env) {
    const sandbox = getSandbox(env.Sandbox, 'my-sandbox');

    // Create a backup
    const backup = await sandbox.createBackup({ dir: '/workspace' });

    // Restore the backup
    await sandbox.restoreBackup(backup);

    // New writes go to the upper layer — the backup is unchanged
    await sandbox.writeFile(
      '/workspace/new-file.txt',
      'This does not modify the backup',
    );

    // Restore the same backup again to discard changes
    await sandbox.restoreBackup(backup);
    return (await sandbox.exists('/workspace/new-file.txt')).exists;
  },

  // "Handle errors"
  async errors(_, env) {
    const sandbox = getSandbox(env.Sandbox, 'my-sandbox');
    const seen: string[] = [];
    const console = { error: (text: string) => seen.push(text) };
    let backup: DirectoryBackup = { id: crypto.randomUUID(), dir: '/workspace' };
    for (const dir of ['/etc', '/workspace/none']) {
      // Handle backup errors
      try {
        backup = await sandbox.createBackup({ dir });
      } catch (error) {
        if (error.code === 'INVALID_BACKUP_CONFIG') {
          // Missing BACKUP_BUCKET binding or invalid directory path
          console.error('Configuration error:');
        } else if (error.code === 'BACKUP_CREATE_FAILED') {
          // Archive creation or upload to R2 failed
          console.error('Backup failed:');
        }
      }
    }

    // Handle restore errors
    try {
      await sandbox.restoreBackup(backup);
    } catch (error) {
      if (error.code === 'BACKUP_NOT_FOUND') {
        console.error('Backup not found in R2:');
      } else if (error.code === 'BACKUP_EXPIRED') {
        console.error('Backup TTL has elapsed:');
      } else if (error.code === 'BACKUP_RESTORE_FAILED') {
        console.error('Restore failed:');
      }
    }
    return seen;
  },

  // "Fix permissions at runtime": here nothing needs to be fixed
  async permissions(sandbox) {
    await sandbox.exec('mkdir -p /home/sandbox/.claude && echo secret > /home/sandbox/.claude/key && chmod -R go= /home/sandbox/.claude');
    await sandbox.createBackup({ dir: '/home/sandbox' });

    await sandbox.exec('chmod -R a+rX /home/sandbox/.claude');
    const backup = await sandbox.createBackup({ dir: '/home/sandbox' });
    return backup.dir;
  },

  // Reference, "Example"
  async reference(_, env) {
    const sandbox = getSandbox(env.SANDBOX, 'my-sandbox');

    // Create some files
    await sandbox.writeFile('/workspace/data/output.txt', 'Results...');
    await sandbox.writeFile('/workspace/data/analysis.json', JSON.stringify(data));

    // Create a backup
    const backup = await sandbox.createBackup({
      dir: '/workspace/data',
      name: 'analysis-results',
      ttl: 7 * 24 * 60 * 60 // 7 days
    });

    // Store backup handle for later restoration
    await env.KV.put('backup:latest', JSON.stringify(backup));
    console.log('Backup created:', backup.id);
    return backup.dir;
  },

  // Reference, "Example: Checkpoint Pattern"
  async experiment(sandbox) {
    await sandbox.writeFile('/workspace/old-data/file', 'kept');

    // Save work-in-progress
    const checkpoint = await sandbox.createBackup({
      dir: '/workspace',
      name: 'checkpoint-before-experiment'
    });

    try {
      // Try something risky
      await sandbox.exec('rm -rf /workspace/old-data');
      await sandbox.exec('experimental-script.sh');
      throw new Error('it fails');
    } catch (error) {
      // Restore if it fails
      console.log('Experiment failed, restoring checkpoint...');
      await sandbox.restoreBackup(checkpoint);
    }
    return (await sandbox.readFile('/workspace/old-data/file')).content;
  },

  // Reference, "Example: Periodic Backups"
  async periodic(sandbox, env) {
    await sandbox.mkdir('/workspace/important');

    // Create daily backups with cleanup
    const backup = await sandbox.createBackup({
      dir: '/workspace/important',
      name: `backup-${new Date().toISOString().split('T')[0]}`,
      ttl: 30 * 24 * 60 * 60 // Keep for 30 days
    });

    // Store in Durable Object or KV
    await env.KV.put(
      `backup:${backup.id}`,
      JSON.stringify(backup),
      { expirationTtl: 30 * 24 * 60 * 60 }
    );
    return (await env.KV.get(`backup:${backup.id}`, 'json') as DirectoryBackup).id === backup.id;
  },

  // Reference, "Error Handling": the guides call the code BACKUP_CREATE_FAILED, and so do we
  async refused(sandbox) {
    try {
      await sandbox.createBackup({
        dir: '/workspace/data'
      });
    } catch (error) {
      return [error.code, error.name, error.message];
    }
    return 'it was made';
  },
};

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const name = new URL(request.url).pathname.slice(1);
    const sample = samples[name];
    if (!sample) return Response.json({ samples: Object.keys(samples) }, { status: 404 });
    const sandbox = getSandbox(env.Sandbox, `sample-${name}`);
    try {
      return Response.json({ result: (await sample(sandbox, env)) ?? null });
    } catch (error) {
      const { name, code, message } = error as Error & { code?: string };
      return Response.json({ error: `${name}: ${message}`, code });
    } finally {
      await sandbox.destroy();
    }
  },
};
