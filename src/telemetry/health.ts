import type { AttachmentState, EventBus } from './events.ts';

/** One thing that must hold for the service to be ready. `name` is stable; `reason` is empty while it holds. */
export interface Check {
  readonly name: string;
  readonly ready: boolean;
  readonly reason: string;
}

export interface Health {
  /** Every check, those that hold included: one for each host of each attachment, the spool, and whether the service drains. */
  checks(): readonly Check[];
  /** Whether packets of a host can reach the service. */
  attached(): readonly { readonly attachment: string; readonly host: string; readonly attached: boolean }[];
  /** From now on the service is not ready: it takes nothing more in. */
  drain(): void;
}

export interface HealthOptions {
  readonly events: EventBus;
  readonly attachments: readonly { readonly name: string; readonly hosts: readonly string[] }[];
}

interface Standing {
  readonly state: AttachmentState;
  readonly reason: string;
}

const unheardOf: Standing = { state: 'connecting', reason: '' };

/** Gathers from the events, from its creation on, what `/readyz` answers. A host is attached when its connection and itself are. */
export function createHealth({ events, attachments }: HealthOptions): Health {
  const connections = new Map<string, Standing>();
  const hosts = new Map<string, Map<string, Standing>>();
  let spool = { writable: true, reason: '' };
  let draining = false;

  events.on('attachment.state', ({ attachment, host, state, reason }) => {
    const ofAttachment = hosts.get(attachment) ?? new Map<string, Standing>();
    if (host !== '') {
      hosts.set(attachment, ofAttachment.set(host, next(ofAttachment.get(host), { state, reason })));
      return;
    }
    connections.set(attachment, next(connections.get(attachment), { state, reason }));
    if (state !== 'attached') hosts.delete(attachment); // what its hosts said was said over a connection that is gone
  });
  events.on('spool.writable', (change) => {
    spool = change;
  });

  function standingOf(attachment: string, host: string): Standing {
    const connection = connections.get(attachment) ?? unheardOf;
    return connection.state === 'attached' ? (hosts.get(attachment)?.get(host) ?? { state: 'resuming', reason: '' }) : connection;
  }

  function standings() {
    return attachments.flatMap(({ name, hosts }) => hosts.map((host) => ({ attachment: name, host, ...standingOf(name, host) })));
  }

  return {
    checks: () => [
      ...standings().map(({ attachment, host, state, reason }) =>
        check(`attachment ${attachment}, host ${host}`, state === 'attached', reason === '' ? state : `${state}: ${reason}`),
      ),
      check('spool', spool.writable, spool.reason),
      check('draining', !draining, 'the service is stopping'),
    ],
    attached: () => standings().map(({ attachment, host, state }) => ({ attachment, host, attached: state === 'attached' })),
    drain: () => {
      draining = true;
    },
  };
}

/** Trying again is no news to somebody who asks why it does not work: the last trouble stands until there is another, or none. */
function next(last: Standing | undefined, now: Standing): Standing {
  const troubled = last?.state === 'offline' || last?.state === 'refused' || last?.state === 'standby';
  return troubled && (now.state === 'connecting' || now.state === 'resuming') ? last : now;
}

function check(name: string, ready: boolean, reason: string): Check {
  return { name, ready, reason: ready ? '' : reason };
}
