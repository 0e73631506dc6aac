import { parseSSEStream } from './events.js';
import { localError } from './errors.js';
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

  async waitForLog(pattern: string | RegExp, timeout?: number): Promise<{ line: string; match?: RegExpMatchArray }> {
    if (typeof pattern === 'string') {
      return this.transport.json({ method: 'POST', path: `${this.path}/wait-for-log`, json: { text: pattern, timeout } });
    }
    // Regular expressions are JavaScript's: they are matched here.
    const once = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
    const limit = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
    const about = { processId: this.id, command: this.command, condition: String(pattern) };
    try {
      for await (const line of this.lines(limit)) {
        const match = line.match(once);
        if (match !== null) return { line, match };
      }
    } catch (error) {
      if (!limit?.aborted) throw error;
      const message = `Process did not become ready within ${timeout}ms. Waiting for: ${pattern}`;
      throw localError('PROCESS_READY_TIMEOUT', message, 408, { ...about, timeout });
    }
    const message = `Process exited before becoming ready. Waiting for: ${pattern}`;
    throw localError('PROCESS_EXITED_BEFORE_READY', message, 500, about);
  }

  async waitForPort(port: number, options: WaitForPortOptions = {}): Promise<void> {
    await this.transport.json({ method: 'POST', path: `${this.path}/wait-for-port`, json: { port, ...options } });
  }

  async waitForExit(timeout?: number): Promise<{ exitCode: number }> {
    return this.transport.json({ method: 'POST', path: `${this.path}/wait-for-exit`, json: { timeout } });
  }

  /** Lines of both streams, as they end; what is left at the end is a line, too. */
  private async *lines(signal: AbortSignal | undefined): AsyncGenerator<string> {
    const rest = { stdout: '', stderr: '' };
    const stream = await this.transport.stream({ method: 'GET', path: `${this.path}/stream`, signal });
    for await (const event of parseSSEStream<LogEvent>(stream, signal)) {
      if (event.type !== 'stdout' && event.type !== 'stderr') break;
      const lines = (rest[event.type] + event.data).split(/\r?\n/);
      rest[event.type] = lines.pop() ?? '';
      yield* lines;
    }
    for (const line of Object.values(rest)) if (line !== '') yield line;
  }

  /** @internal Calls back until it has ended. */
  async follow(callbacks: Pick<ProcessOptions, 'onOutput' | 'onExit' | 'onError'>): Promise<void> {
    try {
      const stream = await this.transport.stream({ method: 'GET', path: `${this.path}/stream` });
      for await (const event of parseSSEStream<LogEvent>(stream)) {
        if (event.type === 'stdout' || event.type === 'stderr') callbacks.onOutput?.(event.type, event.data);
        else if (event.type === 'exit') callbacks.onExit?.(event.exitCode ?? null);
      }
    } catch (error) {
      callbacks.onError?.(error as Error);
    }
  }
}
