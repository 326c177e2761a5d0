/** The two programs that are compared. Each runs in a process of its own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { namedThreads } from './thread-cpu.ts';

export interface Subject {
  readonly name: string;
  /** Resolves when it is attached. */
  start(ends: Ends): Promise<Running>;
}

export interface Ends {
  readonly componentPort: number;
  /** Origin of the sink. */
  readonly backend: string;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** The text at a path of its admin listener; empty if it has none. */
  get(path: string): Promise<string>;
}

export interface ProductOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** TOML of the handlers; default: one default handler. */
  readonly handlers?: string;
  /** TOML of more pools, with this origin. */
  readonly pools?: (origin: string) => string;
}

export const workers = 50;

/** The built service, with the defaults but 50 workers. */
export function productWith({ env = {}, handlers, pools = () => '' }: ProductOptions): Subject {
  return {
    name: 'product',
    start: async (ends) => {
      const options = { ...ends, connection: pools(ends.backend), ...(handlers === undefined ? {} : { handlers }) };
      const config = plainConfig(options).replace('workers = 20', `workers = ${workers}`);
      const pusher = await createPusher({ loglevel: 'warn', config, env: { ...namedThreads, ...env } });
      await pusher.start();
      return {
        pid: pusher.pid,
        get: async (path) => (await pusher.get(path)).text,
        [Symbol.asyncDispose]: async () => {
          await pusher.stop();
          await pusher[Symbol.asyncDispose]();
        },
      };
    },
  };
}

export const product = productWith({});

/** The pusher that a user would write instead: `naive.mjs`. */
export function naiveWith({ env = {} }: Pick<ProductOptions, 'env'>): Subject {
  return {
    name: 'naive',
    start: async ({ componentPort, backend }) => {
      const options = { execArgv: [], env: { ...process.env, ...namedThreads, ...env } };
      const child = fork(new URL('./naive.mjs', import.meta.url), [String(componentPort), backend], options);
      await once(child, 'message');
      return {
        pid: child.pid ?? 0,
        get: async () => '',
        [Symbol.asyncDispose]: async () => {
          const gone = once(child, 'exit');
          child.kill('SIGKILL');
          await gone;
        },
      };
    },
  };
}

export const naive = naiveWith({});
