import { onTestFinished } from 'vitest';
import type { ApiDependencies } from '../../src/admin/api/route.ts';
import { EventActions } from '../../src/admin/event-actions.ts';
import { EventLookup } from '../../src/admin/event-lookup.ts';
import { AdminServer } from '../../src/admin/server.ts';
import { StatusBoard } from '../../src/admin/status/board.ts';
import { Tail } from '../../src/admin/tail.ts';
import { Redactor } from '../../src/config/secrets.ts';
import type { AccessToken } from '../../src/config/service-config.ts';
import { systemClock, systemTimers } from '../../src/kit/clock.ts';
import { Secret } from '../../src/kit/secret.ts';
import type { NewDelivery } from '../../src/model/delivery.ts';
import { Erasure, liveRewriteBytes } from '../../src/spool/erasure.ts';
import { EventStore } from '../../src/spool/event-store.ts';
import { createMemorySpool } from '../../src/spool/open.ts';
import type { FailedPacket, Settlement, Spool } from '../../src/spool/spool.ts';
import { Conditions } from '../../src/telemetry/conditions.ts';
import { createEventBus, type EventBus } from '../../src/telemetry/events.ts';
import { Flow } from '../../src/telemetry/flow.ts';
import { Health } from '../../src/telemetry/health.ts';
import { RecentWithheld } from '../../src/telemetry/recent.ts';
import { acceptedAt, answered, makeDelivery, makeEntry, makeFailedPacket, makeSettlement } from '../spool/build.ts';
import { observe } from '../telemetry/observed.ts';
import { createFakeClock } from './fake-clock.ts';
import { type ScriptedOperations, scriptOperations } from './scripted-operations.ts';
import { appendTo, settleIn } from './spool-promises.ts';

/** A spool for dead letters, and the other dependencies of the API. */
export interface ApiRig {
  readonly dependencies: ApiDependencies;
  /** Hides secrets in responses. */
  readonly redactor: Redactor;
  readonly spool: Spool;
  readonly operations: ScriptedOperations;
  readonly clock: ReturnType<typeof createFakeClock>;
  readonly events: EventBus;
  /** Pools that were woken by actions. */
  readonly woken: readonly string[];
  /** The texts of the notices so far. */
  readonly notices: readonly string[];
  /** Adds a dead letter with one attempt, a second after the previous one. */
  die(delivery?: Parameters<typeof makeDelivery>[0], death?: Death): Promise<NewDelivery>;
  /** Adds a dead letter of a failed callback. */
  addFailedPacket(failedPackets?: Parameters<typeof makeFailedPacket>[0]): Promise<FailedPacket>;
}

export interface Death {
  readonly status?: number;
  readonly disposition?: Settlement['disposition'];
}

export async function createApiRig(): Promise<ApiRig> {
  const clock = createFakeClock(acceptedAt);
  const events = createEventBus();
  const spool = createMemorySpool({ clock, events });
  await spool.start();
  const operations = scriptOperations(spool);
  const notices: string[] = [];
  events.on('notice', ({ text }) => notices.push(text));

  async function die(made: Parameters<typeof makeDelivery>[0] = {}, { status = 400, disposition }: Death = {}): Promise<NewDelivery> {
    clock.advance(1000);
    const delivery = makeDelivery(made);
    const [claimed] = await appendTo(spool, makeEntry([delivery], { take: true }));
    if (claimed === undefined) throw new Error(`${delivery.id} waits behind another`);
    const dead = disposition ?? { kind: 'dead', reason: 'refused', detail: `status ${status}` };
    await settleIn(spool, makeSettlement(claimed.seq, dead, { attempt: answered(1, status) }));
    return delivery;
  }

  async function addFailedPacket(made: Parameters<typeof makeFailedPacket>[0] = {}): Promise<FailedPacket> {
    clock.advance(1000);
    const failedPackets = makeFailedPacket(made);
    await appendTo(spool, makeEntry([], { deadLetters: [failedPackets] }));
    return failedPackets;
  }

  const withheld = new RecentWithheld({ events, clock });
  const redactor = new Redactor([]);
  const status = createBoard({ spool, operations, events, clock });
  const store = new EventStore(spool);
  const lookup = new EventLookup({ spool, store, withheld, clock, history: undefined });
  let viewers = 0;
  const woken: string[] = [];
  const wake = (pools: readonly string[]) => void woken.push(...pools);
  const actions = new EventActions({ lookup, store, clock, events, replay: operations.replay, wake });
  const erasure = new Erasure({
    ...{ spool, clock, events, wake, rewriteBytes: liveRewriteBytes },
    forget: (jid) => withheld.erase(jid),
    history: { erase: async () => ({ count: 0, more: undefined }) },
  });
  const tail = new Tail({ events, clock, newId: () => `viewer-${++viewers}` });
  const dependencies = { erasure, tail, spool, operations, status, lookup, actions, withheld, events, clock, redactor };
  return { dependencies, redactor, spool, operations, clock, events, notices, woken, die, addFailedPacket };
}

interface BoardParts {
  readonly spool: Spool;
  readonly operations: ScriptedOperations;
  readonly events: EventBus;
  readonly clock: ApiRig['clock'];
}

function createBoard({ spool, operations, events, clock }: BoardParts): StatusBoard {
  const history = { span: () => ({ since: acceptedAt, bytes: 12_000_000 }) };
  const conditions = new Conditions({ events, clock });
  const flow = new Flow({ events, clock, timers: systemTimers, levels: () => ({ tapFill: conditions.tapFill, waiting: 0 }) });
  const health = new Health({ events, attachments: [{ name: 'chat', hosts: ['localhost'] }] });
  return new StatusBoard({ operations, conditions, flow, health, spoolStats: () => spool.stats(), maxSpoolBytes: 1e9, clock, history });
}

export interface Admission {
  readonly host?: string;
  readonly token?: string;
  readonly tokens?: readonly AccessToken[];
}

/** The admin listener on a free port over such a rig; it stops at the end of the test. */
export async function startAdminRig({ host = '127.0.0.1', token, tokens = [] }: Admission = {}) {
  const rig = await createApiRig();
  const config = {
    admin: { host, port: 0, token: token === undefined ? undefined : new Secret(token), tokens, maxConnections: 100 },
    metrics: { token: undefined },
  };
  const { events, dependencies } = rig;
  const admin = new AdminServer({
    config,
    metrics: observe().metrics,
    health: new Health({ events, attachments: [] }),
    api: dependencies,
    clock: systemClock,
    timers: systemTimers,
  });
  await admin.start();
  onTestFinished(() => admin.stop());
  return { ...rig, admin, port: admin.address.port };
}
