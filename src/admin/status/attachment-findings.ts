/** What is wrong between the chat servers and the service. */
import type { Facts, HostFacts } from './facts.ts';
import { type Finding, type Level, nothingMore } from './finding.ts';
import { amount, percent, span } from './wording.ts';

/** How long a connection may take before its absence is worth a line, ms. */
const patienceMs = 10_000;

/** How long a loss in the chat server stays in the verdict, ms. */
const recentMs = 3_600_000;

/** Fill of a tap queue above which it is worth a line. */
const notableFill = 0.5;

export function attachmentFindings(facts: Facts): readonly Finding[] {
  return [...detached(facts), ...facts.hosts.flatMap((host) => [...fillFinding(host), ...lossFinding(host, facts)])];
}

/** Hosts with the same trouble at the same connection are one finding. */
function detached({ hosts, now }: Facts): readonly Finding[] {
  const groups = new Map<string, HostFacts[]>();
  for (const host of hosts.filter((each) => levelOf(each, now) !== undefined)) {
    const key = `${host.attachment}\n${host.node}\n${host.state}\n${host.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), host]);
  }
  return Array.from(groups.values(), (group) => detachedFinding(group, now)).flat();
}

function detachedFinding(group: readonly HostFacts[], now: number): readonly Finding[] {
  const [first] = group;
  const level = first === undefined ? undefined : levelOf(first, now);
  if (first === undefined || level === undefined) return [];
  const { attachment, host, node, state, reason, since } = first;
  const at = node === '' ? attachment : `${attachment} at ${node}`;
  const which = group.length === 1 ? host : `${amount(group.length)} hosts`;
  const fill = Math.max(0, ...group.map(({ tap }) => tap?.ratio ?? 0));
  const kept = fill > 0 ? `, its tap queue was ${percent(fill)} full` : '';
  return [
    {
      ...nothingMore,
      level,
      subject: { kind: 'attachment', attachment },
      what: `${at}: ${which} ${stateText[state]}`,
      since,
      error: reason === '' ? null : { text: reason, at: since },
      next:
        state === 'standby' ? 'takes over when the other pusher leaves' : `tries again by itself; the chat server keeps its events${kept}`,
    },
  ];
}

const stateText = {
  attached: 'attached',
  connecting: 'not connected',
  offline: 'not connected',
  refused: 'refused by the chat server',
  resuming: 'connected, but its feed does not flow',
  standby: 'on standby, another pusher is served',
} as const;

function levelOf({ state, since }: HostFacts, now: number): Level | undefined {
  switch (state) {
    case 'attached':
      return undefined;
    case 'standby':
      return 'notice';
    case 'connecting':
    case 'resuming':
      return now - since < patienceMs ? undefined : 'critical';
    case 'offline':
    case 'refused':
      return 'critical';
    default:
      return state satisfies never;
  }
}

function fillFinding({ attachment, host, tap, state }: HostFacts): readonly Finding[] {
  if (tap === null || tap.ratio < notableFill || state !== 'attached') return [];
  const isFull = tap.ratio >= 1;
  const what = `${attachment}: the tap queue of ${host} is ${percent(tap.ratio)} full (${amount(tap.items)} events)`;
  const next = isFull ? 'the chat server drops events now' : 'at 100 % the chat server drops events';
  return [{ ...nothingMore, level: isFull ? 'critical' : 'warning', subject: { kind: 'attachment', attachment }, what, next }];
}

function lossFinding({ attachment, host, lost }: HostFacts, { now }: Facts): readonly Finding[] {
  if (lost === null || now - lost.at > recentMs) return [];
  const count = lost.missing === null ? 'its queue' : `${amount(lost.missing)} events`;
  const what = `${attachment}: the chat server lost ${count} of ${host} ${span(now - lost.at)} ago`;
  return [{ ...nothingMore, level: 'warning', subject: { kind: 'attachment', attachment }, what }];
}
