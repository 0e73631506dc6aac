#!/usr/bin/env node
// The command `sandkeep` of the npm package.
import { parseArgs } from 'node:util';

import { UserError, readProject } from './project.js';
import { findServer, makeBuckets } from './server.js';
import { runWorker } from './worker.js';

const HELP = `Runs a Worker's project against Sandkeep: what \`wrangler dev\` is, for self-hosted sandboxes.

Usage: npx sandkeep dev [options]

The project is that of the wrangler.json, wrangler.jsonc or wrangler.toml here. Its r2_buckets are buckets of Sandkeep, the
same that its sandboxes mount; imports of @cloudflare/sandbox get this package. Unless a server is named, one is started
whose data lies in .sandkeep/ beside the wrangler file. The Worker is built again when its files change.

Options:
  --env NAME      the section [env.NAME] of the wrangler file, and .dev.vars.NAME
  --config FILE   another wrangler file
  --port PORT     where the Worker listens (default 8788; 0: any)
  --url URL       a Sandkeep server that runs (default: $SANDKEEP_URL, else one is started)
  --help          this text

Examples:
  npx sandkeep dev
  npx sandkeep dev --env staging --port 3000
  SANDKEEP_API_KEY=... npx sandkeep dev --url http://sandboxes.internal:8787
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      env: { type: 'string' },
      config: { type: 'string' },
      port: { type: 'string', default: '8788' },
      url: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help || positionals.length === 0) {
    process.stdout.write(HELP);
    return values.help ? 0 : 2;
  }
  if (positionals.join(' ') !== 'dev') {
    throw new UserError(`\`sandkeep ${positionals.join(' ')}\` is a command of the program, not of the npm package: see \`sandkeep --help\` there`);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new UserError(`--port ${values.port}: a number from 0 to 65535 is expected`);
  await dev(values.config, values.env, values.url, port);
  return 0;
}

async function dev(config: string | undefined, environment: string | undefined, url: string | undefined, port: number): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  const project = readProject(process.cwd(), config, environment);
  const server = await findServer(project, url, environment);
  try {
    await makeBuckets(server, project);
    const worker = await runWorker(project, server, port, {
      reloaded: () => console.log('reloaded'),
      warned: (message) => console.error(message),
    });
    console.log(`${project.name} runs at ${worker.url} (sandboxes: ${server.url}); Ctrl-C ends it`);
    await stopped;
    await worker.stop();
  } finally {
    await server.stop();
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isUsers = error instanceof UserError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    console.error(isUsers ? `error: ${(error as Error).message}` : error);
    process.exit(isUsers ? 2 : 1);
  },
);
