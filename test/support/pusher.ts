import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';
import { type Child, startChild } from './start-child.ts';

const builtMain = resolve(fileURLToPath(import.meta.url), '../../../dist/src/cli/main.js');

/** One line of the pusher's log. */
export interface LogLine {
  readonly level: string;
  readonly event?: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** The built service as a separate process, in a fresh folder. */
export interface Pusher extends AsyncDisposable {
  readonly folder: string;
  readonly log: readonly LogLine[];
  /** The id of the last started process. */
  readonly pid: number;
  /** Starts it; resolves at the `ready` line of this start. */
  start(): Promise<void>;
  /** Starts it without waiting. */
  launch(): void;
  /** Resolves with the first line of this start that matches. */
  said(matches: (line: LogLine) => boolean): Promise<LogLine>;
  /**
   * Resolves with all lines of an event when there are at least `count`. A line may arrive after the request, response or
   * acknowledgement that followed it: the pipe of the log is not ordered with sockets.
   */
  logged(event: string, count: number, matches?: (line: LogLine) => boolean): Promise<LogLine[]>;
  /** Sends a signal. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the exit code when its output has been read to the end; null after a signal. */
  ended(): Promise<number | null>;
  /** `kill -9`. */
  kill(): Promise<void>;
  /** Sends SIGTERM and waits; returns the exit code. */
  stop(): Promise<number | null>;
  /** GET on the admin listener. */
  get(path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Its output to standard error. */
  stderr(): string;
}

export interface PusherOptions {
  /** The configuration, without `[admin]`, `[spool]` and the log level. */
  readonly config: string;
  /** Additional files in the folder of the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>;
  readonly loglevel?: string;
  readonly hosts?: readonly string[];
  /** The spool's table; default: an SQLite file in the folder. */
  readonly spool?: string;
  /** The address of metrics and health; default: a free port. */
  readonly listen?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Limits the number of open files of the process. */
  readonly openFiles?: number;
  /** A build other than that of the checkout. */
  readonly main?: string;
}

export async function createPusher({
  config,
  files = {},
  loglevel = 'debug',
  hosts = ['localhost'],
  spool,
  listen = '127.0.0.1:0',
  env = {},
  openFiles,
  main = builtMain,
}: PusherOptions): Promise<Pusher> {
  const folder = await mkdtemp(join(tmpdir(), 'pusher-'));
  const head = `[general]\nhosts = ${JSON.stringify(hosts)}\nloglevel = "${loglevel}"\n[admin]\nlisten = "${listen}"\n${spool ?? '[spool]\npath = "spool.sqlite"'}\n`;
  await writeFile(join(folder, 'event-pusher.toml'), `${head}${config}\n`);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);

  const log: LogLine[] = [];
  let child: Child | undefined;
  let closed: Promise<number | null> | undefined;
  let isOver = false;
  let since = 0;
  let errors = '';

  function launch(): void {
    since = log.length;
    const command = [process.execPath, main, 'run', '--config', join(folder, 'event-pusher.toml')];
    const limited = openFiles === undefined ? command : ['sh', '-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', ...command];
    const [program = '', ...words] = limited;
    const started = startChild(program, words, { ...process.env, ...env });
    child = started;
    isOver = false;
    closed = once(started, 'close').then(([code]) => {
      isOver = child === started;
      return code;
    });
    let rest = '';
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) log.push(JSON.parse(line));
    });
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
  }

  async function said(matches: (line: LogLine) => boolean): Promise<LogLine> {
    let found: LogLine | undefined;
    await eventually(() => {
      found = log.slice(since).find(matches);
      return found !== undefined || isOver;
    });
    if (found === undefined) throw new Error(`the pusher ended with ${child?.exitCode ?? child?.signalCode}: ${errors}`);
    return found;
  }

  async function logged(event: string, count: number, matches: (line: LogLine) => boolean = () => true): Promise<LogLine[]> {
    const found = () => log.filter((line) => line.event === event && matches(line));
    await eventually(() => {
      if (found().length < count) throw new Error(`${found().length} lines of ${event} in the log, not ${count}`);
    });
    return found();
  }

  async function ended(): Promise<number | null> {
    return (await closed) ?? null;
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    child?.kill(signal);
    return ended();
  }

  return {
    folder,
    log,
    get pid() {
      return child?.pid ?? 0;
    },
    launch,
    start: async () => {
      launch();
      await said((line) => line.event === 'ready');
    },
    said,
    logged,
    signal: (signal) => void child?.kill(signal),
    ended,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    get: async (path) => {
      const { admin } = await said((line) => line.event === 'ready');
      const answer = await fetch(`${admin}${path}`);
      return { status: answer.status, text: await answer.text() };
    },
    stderr: () => errors,
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * An attachment, a pool and one handler on it, as a user would write them. Its deadlines are longer than any test unless they are given,
 * because a backend in the process of a test on a busy machine may exceed the defaults.
 */
export function plainConfig(options: {
  readonly componentPort: number;
  readonly backend: string;
  readonly feed?: string;
  readonly secret?: string;
  readonly pool?: string;
  readonly connection?: string;
  readonly handlers?: string;
  readonly attachment?: string;
}): string {
  const { componentPort, backend, feed = 'tap', secret = 's3cret', pool = '', connection = '', handlers, attachment = '' } = options;
  const [settings = ''] = connection.split('['); // further tables follow
  const callTimeout = pool.includes('call_timeout') ? '' : 'call_timeout = "5m"';
  const requestTimeout = settings.includes('request_timeout') ? '' : 'request_timeout = "5m"';
  return `
[attach.chat]
type = "component"
service = "xmpp://127.0.0.1:${componentPort}"
domain = "pusher.localhost"
secret = "${secret}"
feed = "${feed}"
${attachment}
[outgoing_pools.http.http_pool]
workers = 20
${callTimeout}
${pool}
[outgoing_pools.http.http_pool.connection]
host = "${backend}"
path_prefix = "/webservice"
${requestTimeout}
${connection}
${handlers ?? '[modules.mod_event_pusher.backend.http]\npath = "/notifications"'}
`;
}
