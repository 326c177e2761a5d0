/**
 * Carries the requests that a backend's response ordered: each to an origin of its own, over its own connection. The backend
 * chooses the destination, so nothing is trusted: the name must be allowed, and so must every address that it resolves to, when
 * one of them is dialled.
 */
import { lookup as systemLookup } from 'node:dns';
import type { Resolve } from '../src/kit/dial-tcp.ts';
import type { Destination } from '../src/model/delivery.ts';
import { Connection, createDial } from './connection.ts';
import type { Job } from './contract.ts';
import { type DestinationGuard, guardDestination, guarded } from './destination-guard.ts';
import { type Connect, connectThrough, type Egress } from './egress.ts';
import { DESTINATION_REFUSED, Exchange, type Failure } from './exchange.ts';
import { gotWorkers } from './got-worker.ts';
import { requestHeaders, unsendable } from './http-client.ts';
import type { Carrier, CarrierContext } from './serve.ts';

/** Code of an outcome for an order that breaks a rule of the format. */
const ORDER_BROKEN = 'ORDER_BROKEN';

export class OrderCarrier implements Carrier {
  readonly #context: CarrierContext;
  readonly #resolve: Resolve;
  readonly #connect: Connect;

  constructor(context: CarrierContext, resolve: Resolve = systemLookup) {
    this.#context = context;
    this.#resolve = resolve;
    this.#connect = connectThrough(context.settings.egress, resolve);
  }

  carry(job: Job, free: () => void): void {
    const { clock, settings } = this.#context;
    const { destination = noDestination } = job;
    const { origin } = destination;
    const exchange = new Exchange(job, this.#context);
    const checked = check(job, destination, settings.egress);
    if (checked.kind === 'failed') {
      exchange.unsent(checked.failure);
      return free();
    }

    const dial = createDial({ origin, tls: settings.tls }, guarded(this.#resolve, checked.guard), this.#connect);
    const worker = gotWorkers(origin)(new Connection(dial));
    worker.send(exchange, {
      headers: requestHeaders(job, { userAgent: settings.userAgent, now: clock.now() }),
      free: () => void worker.close().then(free),
    });
  }

  close(): Promise<void> {
    return Promise.resolve(); // each connection has ended with its request
  }
}

/** For a job that is not an order and was sent to this pool by mistake. */
const noDestination: Destination = { origin: '', fault: 'the job is not an order', allow: [], ownOrigin: '' };

type Checked = { readonly kind: 'allowed'; readonly guard: DestinationGuard } | { readonly kind: 'failed'; readonly failure: Failure };

/** Checks what is known before a name is resolved. */
function check(job: Job, destination: Destination, { allow: allowedMetadata }: Egress): Checked {
  if (destination.fault !== undefined) return { kind: 'failed', failure: { code: ORDER_BROKEN, message: destination.fault } };
  const guard = guardDestination(destination, allowedMetadata);
  const failure = guard.refusal === undefined ? unsendable(job) : { code: DESTINATION_REFUSED, message: guard.refusal };
  return failure === undefined ? { kind: 'allowed', guard } : { kind: 'failed', failure };
}
