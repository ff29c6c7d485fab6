import type { NatsLogger } from '@shard-controller/shared/nats';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: object;
}

/** Keeps what was logged. */
export class RecordingLogger implements NatsLogger {
  readonly lines: LogLine[] = [];

  debug(fields: object, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }

  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  /** All lines of a level as text, fields included. */
  text(level: LogLine['level']): string {
    const lines = this.lines.filter((line) => line.level === level);
    return lines.map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`).join('\n');
  }
}
