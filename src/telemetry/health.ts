import type { AttachmentState, EventBus } from './events.ts';

/** A condition for the service to be ready. `name` is stable; `reason` is empty if the check passes. */
export interface Check {
  readonly name: string;
  readonly ready: boolean;
  readonly reason: string;
}

interface HealthOptions {
  readonly events: EventBus;
  readonly attachments: readonly Observed[];
  /** Whether the gate is configured; default false. */
  readonly gate?: boolean;
}

interface Observed {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly nodes?: readonly { readonly name: string }[];
}

interface Status {
  readonly state: AttachmentState;
  readonly reason: string;
}

export interface HostStatus extends Status {
  readonly attachment: string;
  readonly host: string;
  readonly node: string;
}

const unreported: Status = { state: 'connecting', reason: '' };

/** The checks behind `/readyz`, kept from events. A host is attached if its connection and its feed are. */
export class Health {
  readonly #attachments: readonly Observed[];
  readonly #connections = new Map<string, Status>();
  readonly #hosts = new Map<string, Map<string, Status>>();
  readonly #starting: ReadonlyMap<string, number>;
  #spool = { writable: true, reason: '' };
  #gateIsClosed: boolean;
  #draining = false;

  constructor({ events, attachments, gate = false }: HealthOptions) {
    this.#attachments = attachments;
    this.#gateIsClosed = gate;
    this.#starting = watchStartingPools(events);
    events.on('attachment.state', ({ attachment, host, node = '', state, reason }) => {
      this.#update(nameOf(attachment, node), host, { state, reason });
    });
    events.on('spool.writable', (change) => {
      this.#spool = change;
    });
    events.on('gate.listening', ({ listening }) => {
      this.#gateIsClosed = !listening;
    });
  }

  /**
   * All checks: one for each host of each attachment (and node, if there are several), the spool, and shutdown. Checks of the gate
   * and of starting pools appear only while they fail.
   */
  checks(): readonly Check[] {
    const hosts = this.hosts().map(({ attachment, host, node, state, reason }) => {
      const name = `attachment ${attachment}, host ${host}${node === '' ? '' : `, node ${node}`}`;
      return check(name, state === 'attached', reason === '' ? state : `${state}: ${reason}`);
    });
    return [
      ...hosts,
      ...Array.from(this.#starting.keys(), (pool) => check(`pool ${pool}`, false, 'its threads are starting')),
      ...(this.#gateIsClosed ? [check('gate', false, 'its listener is not open')] : []),
      check('spool', this.#spool.writable, this.#spool.reason),
      check('draining', !this.#draining, 'the service is stopping'),
    ];
  }

  /** Whether packets of each host can reach the service, from every node. */
  attached(): readonly { readonly attachment: string; readonly host: string; readonly attached: boolean }[] {
    return this.#attachments.flatMap((attachment) =>
      attachment.hosts.map((host) => {
        const attached = this.#statusesOf(attachment, host).every(({ state }) => state === 'attached');
        return { attachment: attachment.name, host, attached };
      }),
    );
  }

  /** The state of each host of each attachment, at each of its nodes if there are several (`node`, otherwise empty). */
  hosts(): readonly HostStatus[] {
    return this.#attachments.flatMap((attachment) => attachment.hosts.flatMap((host) => this.#statusesOf(attachment, host)));
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** The service is no longer ready, because it is stopping. */
  drain(): void {
    this.#draining = true;
  }

  #update(connection: string, host: string, status: Status): void {
    if (host !== '') {
      const hosts = this.#hosts.get(connection) ?? new Map<string, Status>();
      this.#hosts.set(connection, hosts.set(host, next(hosts.get(host), status)));
      return;
    }
    this.#connections.set(connection, next(this.#connections.get(connection), status));
    if (status.state !== 'attached') this.#hosts.delete(connection); // the hosts' states belong to the lost connection
  }

  /** The status of a host at each node. */
  #statusesOf({ name, nodes = [] }: Observed, host: string): readonly HostStatus[] {
    const names = nodes.length > 1 ? nodes.map((node) => node.name) : [''];
    return names.map((node) => ({ attachment: name, host, node, ...this.#statusOf(nameOf(name, node), host) }));
  }

  #statusOf(connection: string, host: string): Status {
    const status = this.#connections.get(connection) ?? unreported;
    return status.state === 'attached' ? (this.#hosts.get(connection)?.get(host) ?? { state: 'resuming', reason: '' }) : status;
  }
}

/**
 * Pools whose first threads are loading, with the number of these threads. Later starts do not count: while a thread is replaced,
 * the deliveries of its pool wait on disk. A thread that dies at its start does not keep the service from attaching either.
 */
function watchStartingPools(events: EventBus): ReadonlyMap<string, number> {
  const starting = new Map<string, number>();
  const started = new Set<string>();
  events.on('pool.thread', ({ pool, state }) => {
    if (started.has(pool)) return;
    const count = (starting.get(pool) ?? 0) + (state === 'started' ? 1 : -1);
    if (count > 0) return void starting.set(pool, count);
    starting.delete(pool);
    started.add(pool);
  });
  return starting;
}

function nameOf(attachment: string, node: string): string {
  return `${attachment} ${node}`;
}

/** Keeps the last problem while a connection is retried, so that its reason stays visible. */
function next(last: Status | undefined, now: Status): Status {
  const troubled = last?.state === 'offline' || last?.state === 'refused' || last?.state === 'standby';
  return troubled && (now.state === 'connecting' || now.state === 'resuming') ? last : now;
}

function check(name: string, ready: boolean, reason: string): Check {
  return { name, ready, reason: ready ? '' : reason };
}

/** Emits `ready` once, as soon as all checks pass. `admin` is the address of metrics and health. */
export function emitReady(events: EventBus, health: Health, admin: string): void {
  const unsubscribe = [events.on('attachment.state', look), events.on('pool.thread', look), events.on('spool.writable', look)];

  function look(): void {
    if (!health.checks().every((each) => each.ready)) return;
    for (const off of unsubscribe) off();
    events.emit('ready', { admin });
  }
}
