/** Sends the messages to users that responses order: the carrier of their pool, and the choice of an attachment for each message. */
import type { Clock, Timers } from '../../kit/clock.ts';
import { toError } from '../../kit/errors.ts';
import { createDeferred } from '../../kit/lifecycle.ts';
import type { MessageOutcome, Outcome } from '../../model/attempt.ts';
import type { OutgoingMessage, SendResult } from '../../model/delivery.ts';
import type { Attempt, JobOptions } from '../attempt.ts';
import { type Carrier, type CarrierCallbacks, misplacedReply } from '../extensions.ts';

interface MessageCarrierOptions extends CarrierCallbacks {
  readonly sender: MessageSender;
  readonly clock: Clock;
}

/** Sends messages. Rejects only when `signal` aborts. */
export interface MessageSender {
  send(message: OutgoingMessage, options: { readonly signal: AbortSignal }): Promise<FinalResult>;
}

export type FinalResult = Extract<SendResult, { kind: 'refused' | 'sent' }>;

/** A message whose attachment is offline stays in flight until the attachment is back: the wait spends no attempt. */
export class MessageCarrier implements Carrier {
  readonly #options: MessageCarrierOptions;
  readonly #draining = new AbortController();
  #killed = false;

  constructor(options: MessageCarrierOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    // the attachments start by themselves
  }

  async stop(): Promise<void> {
    // nothing is in flight
  }

  async kill(): Promise<void> {
    this.#killed = true;
    this.drain();
  }

  drain(): void {
    this.#draining.abort();
  }

  carry(attempt: Attempt, { key }: JobOptions): void {
    void Promise.resolve().then(() => this.#carry(attempt, key)); // never within the call
  }

  async #carry({ delivery }: Attempt, key: number): Promise<void> {
    const { clock, onOutcome, onLost } = this.#options;
    const { id, target, body } = delivery;
    if (target.kind !== 'xmpp') return onOutcome(key, misplacedReply);
    const { from, to, fault } = target;
    if (fault !== undefined) return onOutcome(key, { outcome: { ...refused(fault), durationMs: 0 }, judgement: undefined });
    const startedAt = clock.monotonic();
    const result = await this.#send({ id, from, to, body: String(body) });
    if (this.#killed) return;
    if (result === undefined) return onLost([key]);
    onOutcome(key, { outcome: { ...result, durationMs: clock.monotonic() - startedAt }, judgement: undefined });
  }

  /** Undefined if draining interrupted it, so that the result is unknown. */
  async #send(message: OutgoingMessage): Promise<Result | undefined> {
    const { signal } = this.#draining;
    try {
      const sent = await this.#options.sender.send(message, { signal });
      return sent.kind === 'sent' ? sent : refused(sent.reason);
    } catch (thrown) {
      return signal.aborted ? undefined : { kind: 'broken', code: 'OUTBOX_FAILED', message: toError(thrown).message };
    }
  }

  disposed(): void {
    // no callback waits for a message
  }
}

type Result = WithoutDuration<MessageOutcome> | WithoutDuration<Extract<Outcome, { kind: 'broken' }>>;
type WithoutDuration<T> = T extends unknown ? Omit<T, 'durationMs'> : never;

function refused(message: string): Result {
  return { kind: 'refused', message };
}

/** An attachment that can send messages. */
export interface MessageRoute {
  /** The virtual hosts that it serves. */
  readonly hosts: readonly string[];
  /** Tries for `withinMs`. `unconfirmed` and `unsent`: not sent in that time, and may be tried again. */
  send(message: OutgoingMessage, options: { readonly withinMs: number }): Promise<SendResult>;
}

interface Outlet {
  readonly name: string;
  /** Undefined: it cannot send messages. */
  readonly outbox?: Pick<MessageRoute, 'send'> | undefined;
}

type Served = Pick<MessageRoute, 'hosts'> & { readonly name: string };

/** The outboxes of the attachments that can send messages to users. */
export function routesOf(
  outlets: readonly Outlet[],
  { attachments }: { readonly attachments: readonly Served[] },
): readonly MessageRoute[] {
  return outlets.flatMap(({ name, outbox }) => {
    const hosts = attachments.find((attachment) => attachment.name === name)?.hosts ?? [];
    return outbox === undefined ? [] : [{ hosts, send: outbox.send }];
  });
}

interface MessageRouterOptions {
  /** The current attachments that can send messages. */
  readonly routes: () => readonly MessageRoute[];
  readonly timers: Timers;
}

/** Time for one try of an attachment, ms: short, so that an aborted message is soon forgotten there. */
const withinMs = 5000;

/** Wait between two tries, ms: an attachment may report at once that it cannot send now. */
const retryEveryMs = 1000;

/** Sends each message through the attachment of its receiver's host, or else through the first that can send, and retries until it is sent. */
export class MessageRouter implements MessageSender {
  readonly #options: MessageRouterOptions;

  constructor(options: MessageRouterOptions) {
    this.#options = options;
  }

  async send(message: OutgoingMessage, { signal }: { readonly signal: AbortSignal }): Promise<FinalResult> {
    const aborted = createDeferred<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', abort);
    try {
      return await Promise.race([this.#sendUntil(signal, message), aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #sendUntil(signal: AbortSignal, message: OutgoingMessage): Promise<FinalResult> {
    while (!signal.aborted) {
      const route = routeFor(message, this.#options.routes());
      if (route === undefined) return { kind: 'refused', reason: 'no attachment can send messages to users' };
      const result = await route.send(message, { withinMs });
      if (result.kind === 'sent' || result.kind === 'refused') return result;
      await new Promise<void>((resolve) => this.#options.timers.after(retryEveryMs, resolve));
    }
    throw signal.reason;
  }
}

function routeFor({ to }: OutgoingMessage, routes: readonly MessageRoute[]): MessageRoute | undefined {
  const [, host = ''] = /@([^/]+)/.exec(to) ?? [];
  return routes.find(({ hosts }) => hosts.includes(host.toLowerCase())) ?? routes[0];
}
