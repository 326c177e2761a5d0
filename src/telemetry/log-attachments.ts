import type { Logger } from 'pino';
import type { AttachmentState, EventBus, Events } from './events.ts';

/** Writes how the connections to chat servers fare, each state once however often it is tried again. */
export function logAttachments(events: EventBus, log: Logger): void {
  logStates(events, log);
  logSkipped(events, log);

  events.on('archive.gap', ({ attachment, host }) => {
    const text = `an archive on ${host} no longer knows the last message that was read: what it threw away since then was missed`;
    log.warn({ event: 'archive.gap', attachment, host }, text);
  });
  events.on('tap.mark-missing', (missing) => log.warn({ event: 'tap.mark-missing', ...missing }, sayMarkMissing(missing)));
  events.on('tap.hole', ({ attachment, host, missing }) => {
    const text =
      missing === undefined
        ? `chat server lost its queue for ${host}, as after a crash; any packets in it are lost`
        : `chat server lost ${missing} packets of ${host}: its queue was full, or was lost in a restart`;
    log.warn({ event: 'tap.hole', attachment, host, missing }, text);
  });
}

/** A missing mark is normal for a new spool and a problem for a used one; only the operator knows which applies. */
function sayMarkMissing({ host, items }: Events['tap.mark-missing']): string {
  const cause = 'the spool is new or was lost, or another pusher received them';
  return `the spool has no mark of ${items} packets that the tap of ${host} sent before: ${cause}; packets that were not delivered may be lost`;
}

const levelOf = { attached: 'info', connecting: 'debug', offline: 'warn', refused: 'error', resuming: 'debug', standby: 'info' } as const;

function logStates(events: EventBus, log: Logger): void {
  const lastTold = new Map<string, string>();

  events.on('attachment.state', (change) => {
    const { attachment, host, node, state, reason } = change;
    const level = levelOf[state];
    const subject = `${attachment} ${host} ${node ?? ''}`;
    const told = `${state} ${reason}`;
    const isNews = level !== 'debug' && lastTold.get(subject) !== told;
    if (isNews) lastTold.set(subject, told);
    log[isNews ? level : 'debug']({ event: 'attachment.state', attachment, host, node, state, reason }, say(change));
  });
}

const verbs: Readonly<Record<AttachmentState, string>> = {
  attached: 'is attached',
  connecting: 'is connecting',
  offline: 'is offline',
  refused: 'was refused by the chat server',
  resuming: 'is resuming its feed',
  standby: 'is standing by',
};

function say({ attachment, host, node, state, reason }: Events['attachment.state']): string {
  const connection = node === undefined ? `attachment ${attachment}` : `attachment ${attachment} at ${node}`;
  const subject = host === '' ? connection : `host ${host} of ${connection}`;
  return `${subject} ${verbs[state]}${reason === '' ? '' : `: ${reason}`}`;
}

/**
 * Unexpected stanzas are logged once per attachment, host and reason, because a user can send any number of them. The others
 * are normal in a feed.
 */
function logSkipped(events: EventBus, log: Logger): void {
  const told = new Set<string>();
  events.on('packet.skipped', ({ attachment, host, reason }) => {
    const what = suspicious.get(reason);
    const subject = `${attachment} ${host ?? ''} ${reason}`;
    if (what === undefined || told.has(subject)) {
      if (log.isLevelEnabled('debug')) log.debug({ event: 'packet.skipped', attachment, host, reason }, 'skipped a stanza');
      return;
    }
    told.add(subject);
    const text = `skipped a stanza ${host === undefined ? '' : `of ${host} `}that ${what}; more of these are only counted, in event_pusher_skipped_total`;
    log.warn({ event: 'packet.skipped', attachment, host, reason }, text);
  });
}

const suspicious: ReadonlyMap<string, string> = new Map([
  ['forged', 'claims to be from a tap but is not'],
  ['malformed', 'cannot be read'],
  ['too-large', 'exceeds max_stanza_bytes'],
  ['unknown-direction', 'has a direction that this version does not know'],
]);
