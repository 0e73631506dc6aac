import { parseSSEStream } from './events.js';
import type { Transport } from './transport.js';
import type { LogEvent, Process, ProcessOptions, ProcessStatus, WaitForPortOptions } from './types.js';

/** A process as the server describes it. */
export interface ProcessRecord {
  id: string;
  pid?: number;
  command: string;
  status: ProcessStatus;
  startTime: string;
  endTime?: string;
  exitCode?: number;
  sessionId?: string;
}

/** A process of a sandbox. */
export class ProcessHandle implements Process {
  readonly id: string;
  readonly pid?: number;
  readonly command: string;
  readonly status: ProcessStatus;
  readonly startTime: Date;
  readonly endTime?: Date;
  readonly exitCode?: number;
  readonly sessionId?: string;

  /** @internal */
  constructor(
    private readonly transport: Transport,
    private readonly path: string,
    record: ProcessRecord,
  ) {
    this.id = record.id;
    this.command = record.command;
    this.status = record.status;
    this.startTime = new Date(record.startTime);
    if (record.pid !== undefined) this.pid = record.pid;
    if (record.endTime !== undefined) this.endTime = new Date(record.endTime);
    if (record.exitCode !== undefined) this.exitCode = record.exitCode;
    if (record.sessionId !== undefined) this.sessionId = record.sessionId;
  }

  async kill(signal?: string): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: this.path, query: { signal } });
  }

  async getStatus(): Promise<ProcessStatus> {
    return (await this.transport.json<ProcessRecord>({ method: 'GET', path: this.path })).status;
  }

  async getLogs(): Promise<{ stdout: string; stderr: string }> {
    const { stdout, stderr } = await this.transport.json<{ stdout: string; stderr: string }>({
      method: 'GET',
      path: `${this.path}/logs`,
    });
    return { stdout, stderr };
  }

  /** The server looks for text; regular expressions are matched here, line by line. */
  async waitForLog(pattern: string | RegExp, timeout?: number): Promise<{ line: string; match?: RegExpMatchArray }> {
    const json =
      typeof pattern === 'string' ? { text: pattern, timeout } : { pattern: pattern.source, flags: pattern.flags, timeout };
    const call = { method: 'POST', path: `${this.path}/wait-for-log`, json } as const;
    const { line } = await this.transport.json<{ line: string }>(call);
    if (typeof pattern === 'string') return { line };
    const match = line.match(new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')));
    return match === null ? { line } : { line, match };
  }

  async waitForPort(port: number, options: WaitForPortOptions = {}): Promise<void> {
    const { status, ...rest } = options;
    const range = typeof status === 'number' ? { min: status, max: status } : status;
    const json = { port, ...rest, statusMin: range?.min, statusMax: range?.max };
    await this.transport.json({ method: 'POST', path: `${this.path}/wait-for-port`, json });
  }

  async waitForExit(timeout?: number): Promise<{ exitCode: number }> {
    return this.transport.json({ method: 'POST', path: `${this.path}/wait-for-exit`, json: { timeout } });
  }

  /** @internal Calls back until it has ended. */
  async follow(callbacks: Pick<ProcessOptions, 'onOutput' | 'onExit' | 'onError'>): Promise<void> {
    try {
      const stream = await this.transport.stream({ method: 'GET', path: `${this.path}/logs/stream` });
      for await (const event of parseSSEStream<LogEvent>(stream)) {
        if (event.type === 'stdout' || event.type === 'stderr') callbacks.onOutput?.(event.type, event.data);
        else if (event.type === 'exit') callbacks.onExit?.(event.exitCode ?? null);
      }
    } catch (error) {
      callbacks.onError?.(error as Error);
    }
  }
}
