import { eventually } from './eventually.ts';
import { createPusher, type Pusher, type PusherOptions, plainConfig } from './pusher.ts';
import type { TargetRequest } from './request-reader.ts';
import { type Script, startTarget, type Target } from './target.ts';

/** The built service, attached to a chat server, and the backend of its pushes. */
export interface PushRig extends AsyncDisposable {
  readonly backend: Target;
  readonly pusher: Pusher;
  /** Bodies of requests to a path below `/webservice`, oldest first. */
  bodies(path?: string): string[];
  /** The field `message` of these forms. */
  messages(path?: string): string[];
  /** A sample of `/metrics` by its name and labels, summed over the omitted labels; 0 if it does not exist. */
  metric(sample: string): Promise<number>;
  /** Resolves when this number of requests has been accepted, and no delivery is pending. */
  settled(count: number): Promise<void>;
  /** Resolves when this number of failed attempts has been recorded and their retries are scheduled. */
  postponed(count: number): Promise<void>;
}

type ConfigOptions = Parameters<typeof plainConfig>[0];

export interface PushRigOptions
  extends Omit<ConfigOptions, 'backend' | 'componentPort'>,
    Pick<PusherOptions, 'env' | 'files' | 'hosts' | 'listen' | 'loglevel' | 'spool'> {
  readonly script?: Script;
  /** Replaces the target of the rig; it is stopped with the rig. */
  readonly backend?: Target;
  /** Default true; if false, the test starts it. */
  readonly started?: boolean;
}

/** Starts both; resolves when the service is attached to the server on that component port. */
export async function startPushRig(componentPort: number, options: PushRigOptions = {}): Promise<PushRig> {
  const { script, started = true } = options;
  const backend = options.backend ?? (await startTarget(script === undefined ? {} : { script }));
  const pusher = await createPusher({ ...options, config: plainConfig({ ...options, componentPort, backend: backend.origin }) });

  async function dispose(): Promise<void> {
    await pusher[Symbol.asyncDispose]();
    await backend.stop();
  }

  function requestsTo(path: string): readonly TargetRequest[] {
    return backend.requests.filter((request) => request.path === `/webservice/${path}`);
  }

  async function metric(sample: string): Promise<number> {
    const { text } = await pusher.get('/metrics');
    const [name = '', labels = ''] = sample.replace('}', '').split('{');
    const wanted = labels === '' ? [] : labels.split(/,(?=\w+=")/);
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    const meant = lines.filter((line) => wanted.every((label) => line.includes(`{${label}`) || line.includes(`,${label}`)));
    return meant.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  if (started) {
    await pusher.start().catch(async (error) => {
      await dispose();
      throw error;
    });
  }
  return {
    backend,
    pusher,
    bodies: (path = 'notifications') => requestsTo(path).map(({ body }) => body.toString()),
    messages: (path = 'notifications') => requestsTo(path).map(({ body }) => new URLSearchParams(body.toString()).get('message') ?? ''),
    metric,
    settled: (count) =>
      eventually(async () => {
        const delivered = await metric('event_pusher_deliveries_total{pool="http_pool",disposition="delivered"}');
        const owed = await metric('event_pusher_spool_depth{pool="http_pool",state="waiting"}');
        if (delivered < count || owed > 0) throw new Error(`${delivered} delivered and ${owed} owed, not ${count} and 0`);
      }),
    postponed: (count) =>
      eventually(async () => {
        const retries = await metric('event_pusher_deliveries_total{pool="http_pool",disposition="retry"}');
        if (retries < count) throw new Error(`${retries} retries scheduled, not ${count}`);
      }),
    [Symbol.asyncDispose]: dispose,
  };
}

/** The form that the default module sends for a message of a user of localhost. */
export function form(author: string, receiver: string, message: string): string {
  return `author=${author}&server=localhost&receiver=${receiver}&message=${message}`;
}
