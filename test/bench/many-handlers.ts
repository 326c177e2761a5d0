/** The cost of handlers that do not match: 1 000 handlers with rules, compared with one. */
import { residentBytes } from './process-usage.ts';
import { chatMessage, startRig } from './rig.ts';
import { median } from './statistics.ts';
import { product, productWith, type Subject } from './subjects.ts';
import { micros, none, type Row, times } from './table.ts';

interface Cost {
  readonly cpuMicros: number;
  /** After the start, without traffic. */
  readonly idleBytes: number;
}

export interface ManyHandlers {
  readonly handlers: number;
  readonly one: Cost;
  /** One handler matches all packets, the others none. */
  readonly oneMatches: Cost;
  /** Each handler has a receiver of its own, and all have traffic. */
  readonly eachMatches: Cost;
}

interface Extent {
  readonly handlers: number;
  readonly rounds: number;
  readonly events: number;
}

export async function measureManyHandlers({ handlers: count, rounds, events }: Extent): Promise<ManyHandlers> {
  const oneMatches = [handlerOf('push', `from = "*@localhost", type = "chat"`), ...handlersFor(count - 1, 'bot')];
  const subjects = {
    one: product,
    oneMatches: productWith({ handlers: oneMatches.join('') }),
    eachMatches: productWith({ handlers: handlersFor(count, 'peer').join('') }),
  };
  const costs: Record<keyof typeof subjects, Cost[]> = { one: [], oneMatches: [], eachMatches: [] };
  for (let round = 0; round < rounds; round += 1) {
    costs.one.push(await measure(subjects.one, { receivers: count, events }));
    costs.oneMatches.push(await measure(subjects.oneMatches, { receivers: count, events }));
    costs.eachMatches.push(await measure(subjects.eachMatches, { receivers: count, events }));
  }
  return { handlers: count, one: middle(costs.one), oneMatches: middle(costs.oneMatches), eachMatches: middle(costs.eachMatches) };
}

function handlersFor(count: number, receiver: string): readonly string[] {
  return Array.from({ length: count }, (_nothing, index) => handlerOf(`${receiver}${index}`, `to = "${receiver}${index}@localhost"`));
}

function handlerOf(name: string, rules: string): string {
  return `[[modules.mod_event_pusher.backend.http]]\nname = "${name}"\npath = "/notifications"\nwhen = { ${rules} }\n`;
}

async function measure(subject: Subject, { receivers, events }: { readonly receivers: number; readonly events: number }): Promise<Cost> {
  await using rig = await startRig({ subject, stanza: (seq) => chatMessage(seq % receivers) });
  const idleBytes = residentBytes(rig.running.pid);
  const limits = { seconds: 5, piece: 500, events }; // a slow service gets through a part only
  await rig.driveFor({ ...limits, events: events / 10 });
  const before = rig.cpuMicros();
  const driven = await rig.driveFor(limits);
  return { idleBytes, cpuMicros: (rig.cpuMicros() - before) / driven };
}

function middle(costs: readonly Cost[]): Cost {
  return { cpuMicros: median(costs.map(({ cpuMicros }) => cpuMicros)), idleBytes: median(costs.map(({ idleBytes }) => idleBytes)) };
}

export function manyHandlersRows({ handlers, one, oneMatches, eachMatches }: ManyHandlers): readonly Row[] {
  const row = (measure: string, { cpuMicros }: Cost): Row => ({
    measure,
    measured: micros(cpuMicros),
    reference: `one handler ${micros(one.cpuMicros)}`,
    ratio: times(cpuMicros / one.cpuMicros),
    goal: '≤ 2 ×',
  });
  return [
    row(`CPU per packet, ${handlers} handlers, one of which matches`, oneMatches),
    row(`CPU per packet, ${handlers} handlers, each with a receiver of its own`, eachMatches),
    {
      measure: 'memory of a handler without traffic',
      measured: `${((oneMatches.idleBytes - one.idleBytes) / (handlers - 1) / 1000).toFixed(0)} KB`,
      reference: none,
      ratio: none,
      goal: '≤ 30 KB',
    },
  ];
}
