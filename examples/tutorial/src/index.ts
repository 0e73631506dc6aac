import { getSandbox, type Sandbox } from '@cloudflare/sandbox';

export { Sandbox } from '@cloudflare/sandbox';

interface Env {
  Sandbox: DurableObjectNamespace<Sandbox>;
  DATA_BUCKET: R2Bucket;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const sandbox = getSandbox(env.Sandbox, 'data-processor');

    // Mount R2 bucket to /data directory
    await sandbox.mountBucket('my-data-bucket', '/data', {
      endpoint: 'https://YOUR_ACCOUNT_ID.r2.cloudflarestorage.com'
    });

    if (url.pathname === '/process') {
      // Process data and save to mounted R2
      const result = await sandbox.exec('python', {
        args: ['-c', `
import json
import os
from datetime import datetime

# Read input (or create sample data)
data = [
    {'id': 1, 'value': 42},
    {'id': 2, 'value': 87},
    {'id': 3, 'value': 15}
]

# Process: calculate sum and average
total = sum(item['value'] for item in data)
avg = total / len(data)

# Save results to mounted R2 (/data is the mounted bucket)
result = {
    'timestamp': datetime.now().isoformat(),
    'total': total,
    'average': avg,
    'processed_count': len(data)
}

os.makedirs('/data/results', exist_ok=True)
with open('/data/results/latest.json', 'w') as f:
    json.dump(result, f, indent=2)

print(json.dumps(result))
        `]
      });

      return Response.json({
        message: 'Data processed and saved to R2',
        result: JSON.parse(result.stdout)
      });
    }

    if (url.pathname === '/results') {
      // Read results from mounted R2
      const result = await sandbox.exec('cat', {
        args: ['/data/results/latest.json']
      });

      if (!result.success) {
        return Response.json({ error: 'No results found yet' }, { status: 404 });
      }

      return Response.json({
        message: 'Results retrieved from R2',
        data: JSON.parse(result.stdout)
      });
    }

    if (url.pathname === '/destroy') {
      // Destroy sandbox to demonstrate persistence
      await sandbox.destroy();
      return Response.json({ message: 'Sandbox destroyed. Data persists in R2!' });
    }

    return new Response(`
Data Pipeline with Persistent Storage

Endpoints:
- POST /process - Process data and save to R2
- GET /results  - Retrieve results from R2
- POST /destroy - Destroy sandbox (data survives!)

Try this flow:
1. POST /process (processes and saves to R2)
2. POST /destroy (destroys sandbox)
3. GET /results (data still accessible from R2)
    `, { headers: { 'Content-Type': 'text/plain' } });
  }
};
