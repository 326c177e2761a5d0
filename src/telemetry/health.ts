import type { AttachmentState, EventBus } from './events.ts';

/** One thing that must hold for the service to be ready. `name` is stable; `reason` is empty while it holds. */
export interface Check {
  readonly name: string;
  readonly ready: boolean;
  readonly reason: string;
}

export interface Health {
  /**
   * Every check, those that hold included: one for each host of each attachment (of each of its nodes, where it has several),
   * the spool, and whether the service drains. Checks of the gate and of pools that are starting appear only if they fail.
   */
  checks(): readonly Check[];
  /** Whether packets of a host can reach the service, from every node. */
  attached(): readonly { readonly attachment: string; readonly host: string; readonly attached: boolean }[];
  /** From now on the service is not ready: it takes nothing more in. */
  drain(): void;
}

export interface HealthOptions {
  readonly events: EventBus;
  readonly attachments: readonly Observed[];
  /** Whether chat servers may ask about messages; default false. */
  readonly gate?: boolean;
}

interface Observed {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly nodes?: readonly { readonly name: string }[];
}

interface Standing {
  readonly state: AttachmentState;
  readonly reason: string;
}

const unheardOf: Standing = { state: 'connecting', reason: '' };

/** Gathers from the events, from its creation on, what `/readyz` answers. A host is attached when its connection and itself are. */
export function createHealth({ events, attachments, gate = false }: HealthOptions): Health {
  const connections = new Map<string, Standing>();
  const hosts = new Map<string, Map<string, Standing>>();
  let spool = { writable: true, reason: '' };
  let gateIsShut = gate;
  let draining = false;

  events.on('attachment.state', ({ attachment, host, node = '', state, reason }) => {
    const connection = nameOf(attachment, node);
    const ofConnection = hosts.get(connection) ?? new Map<string, Standing>();
    if (host !== '') {
      hosts.set(connection, ofConnection.set(host, next(ofConnection.get(host), { state, reason })));
      return;
    }
    connections.set(connection, next(connections.get(connection), { state, reason }));
    if (state !== 'attached') hosts.delete(connection); // what its hosts said was said over a connection that is gone
  });
  events.on('spool.writable', (change) => {
    spool = change;
  });

  const starting = createStartingPools(events);
  events.on('gate.listening', ({ listening }) => {
    gateIsShut = !listening;
  });

  function standingOf(connection: string, host: string): Standing {
    const standing = connections.get(connection) ?? unheardOf;
    return standing.state === 'attached' ? (hosts.get(connection)?.get(host) ?? { state: 'resuming', reason: '' }) : standing;
  }

  /** Of one host, at each node. */
  function standings({ name, nodes = [] }: Observed, host: string) {
    const names = nodes.length > 1 ? nodes.map((node) => node.name) : [''];
    return names.map((node) => ({ attachment: name, host, node, ...standingOf(nameOf(name, node), host) }));
  }

  return {
    checks: () => [
      ...attachments
        .flatMap((attachment) => attachment.hosts.flatMap((host) => standings(attachment, host)))
        .map(({ attachment, host, node, state, reason }) => {
          const name = `attachment ${attachment}, host ${host}${node === '' ? '' : `, node ${node}`}`;
          return check(name, state === 'attached', reason === '' ? state : `${state}: ${reason}`);
        }),
      ...Array.from(starting.keys(), (pool) => check(`pool ${pool}`, false, 'its threads are starting')),
      ...(gateIsShut ? [check('gate', false, 'its listener is not open')] : []),
      check('spool', spool.writable, spool.reason),
      check('draining', !draining, 'the service is stopping'),
    ],
    attached: () =>
      attachments.flatMap((attachment) =>
        attachment.hosts.map((host) => {
          const attached = standings(attachment, host).every(({ state }) => state === 'attached');
          return { attachment: attachment.name, host, attached };
        }),
      ),
    drain: () => {
      draining = true;
    },
  };
}

/**
 * Pools whose first threads are still loading, with their number. Later starts do not count: while a thread is replaced, its
 * pool's deliveries wait on disk. A thread that dies at its start does not keep the service from attaching either.
 */
function createStartingPools(events: EventBus): ReadonlyMap<string, number> {
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

/** Trying again is no news to somebody who asks why it does not work: the last trouble stands until there is another, or none. */
function next(last: Standing | undefined, now: Standing): Standing {
  const troubled = last?.state === 'offline' || last?.state === 'refused' || last?.state === 'standby';
  return troubled && (now.state === 'connecting' || now.state === 'resuming') ? last : now;
}

function check(name: string, ready: boolean, reason: string): Check {
  return { name, ready, reason: ready ? '' : reason };
}

/** Emits `ready` once, as soon as every check of `health` holds. `admin` is the address to say with it. */
export function announceReady(events: EventBus, health: Health, admin: string): void {
  const offs = [events.on('attachment.state', look), events.on('pool.thread', look), events.on('spool.writable', look)];

  function look(): void {
    if (!health.checks().every((check) => check.ready)) return;
    for (const off of offs) off();
    events.emit('ready', { admin });
  }
}
