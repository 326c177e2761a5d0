/** The threads that send the requests of pools, and the replacement of those that die. */

import { availableParallelism } from 'node:os';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { FromPoolThread, PoolThreadSettings, ToThread } from '../../pools/contract.ts';
import type { Timers } from '../kit/clock.ts';
import { loggable, toError } from '../kit/errors.ts';
import { type Backoff, backoffMs } from '../kit/pacing.ts';
import { threadEntry } from '../kit/thread-entry.ts';

/** A pool in a thread. The calls come in this order, again for each successor of the thread. */
export interface Tenant {
  readonly settings: PoolThreadSettings;
  /** The thread loads what the pool needs; messages to the port arrive afterwards. */
  opened(port: MessagePort): void;
  receive(message: FromPoolThread): void;
  /** The thread has died: its jobs without an outcome are lost. */
  died(reason: string): void;
}

const respawnBackoff: Backoff = { firstMs: 100, capMs: 10_000, jitter: 0 };

/** How often a thread is pinged; a thread that has not answered by the next ping is replaced. */
const pingEveryMs = 10_000;

/**
 * One thread and the pools in it. It begins with the first of them, ends with the last, and has a successor when it dies:
 *
 *   empty → running → empty
 *            ↑    ↓ died, or does not answer
 *            waiting (doubles until all pools have loaded and one has sent a request)
 */
export class ThreadHost {
  readonly #timers: Timers;
  readonly #tenants = new Map<Tenant, MessagePort | undefined>();
  #life: ThreadLife | undefined;
  #deaths = 0;
  #cancelRespawn: (() => void) | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Workers of all its pools. */
  get workers(): number {
    return [...this.#tenants.keys()].reduce((sum, { settings }) => sum + settings.workers, 0);
  }

  join(tenant: Tenant): void {
    this.#tenants.set(tenant, undefined);
    if (this.#life !== undefined) this.#open(tenant, this.#life);
    else if (this.#cancelRespawn === undefined) this.#start();
  }

  /** Closes the port of the tenant: its jobs in progress are abandoned, its connections closed. */
  async leave(tenant: Tenant): Promise<void> {
    this.#tenants.get(tenant)?.close();
    this.#tenants.delete(tenant);
    this.#life?.loading.delete(tenant);
    if (this.#tenants.size > 0) return;
    this.#cancelRespawn?.();
    this.#cancelRespawn = undefined;
    const life = this.#life;
    this.#life = undefined;
    await life?.end();
  }

  #start(): void {
    this.#cancelRespawn = undefined;
    const life = new ThreadLife((dead, reason) => this.#died(dead, reason));
    this.#life = life;
    this.#schedulePing(life);
    for (const tenant of this.#tenants.keys()) this.#open(tenant, life);
  }

  #open(tenant: Tenant, life: ThreadLife): void {
    const port = life.open(tenant.settings);
    life.loading.add(tenant);
    port.on('message', (message: FromPoolThread) => {
      life.answered = true;
      life.loading.delete(tenant);
      if (message.kind === 'outcomes' && life.loading.size === 0) this.#deaths = 0; // a pool that loads may end the thread again
      tenant.receive(message);
    });
    this.#tenants.set(tenant, port);
    tenant.opened(port);
  }

  #schedulePing(life: ThreadLife): void {
    life.cancelPing = this.#timers.after(pingEveryMs, () => {
      if (!life.answered) return this.#died(life, `it has not answered for ${pingEveryMs} ms`);
      life.answered = false;
      for (const port of this.#tenants.values()) port?.postMessage({ kind: 'ping' });
      this.#schedulePing(life);
    });
  }

  #died(dead: ThreadLife, reason: string): void {
    if (dead !== this.#life) return;
    this.#life = undefined;
    void dead.end();
    this.#deaths += 1;
    const waitMs = backoffMs(respawnBackoff, this.#deaths, () => 0.5);
    this.#cancelRespawn = this.#timers.after(waitMs, () => this.#start());
    for (const [tenant, port] of [...this.#tenants]) {
      port?.close();
      tenant.died(reason);
    }
  }
}

/** Limit of shared threads: the service thread, which prepares all requests, reaches its own limit before four threads that send them. */
const maxSharedThreads = 4;

/** The threads of the pools that have no thread of their own. */
export class SharedThreads {
  readonly #hosts: readonly ThreadHost[];

  /** By default at most one thread per core of the machine, because each takes memory. */
  constructor(timers: Timers, threads = Math.min(maxSharedThreads, availableParallelism())) {
    this.#hosts = Array.from({ length: threads }, () => new ThreadHost(timers));
  }

  /** The thread with the fewest workers. */
  readonly next = (): ThreadHost => this.#hosts.reduce((best, host) => (host.workers < best.workers ? host : best));
}

/** Requests and responses live for milliseconds, so a third of Node's default is enough. */
const youngGenerationMb = 16;

/**
 * A thread from its start to its end: a piscina instance with one thread and one task that lasts as long as the thread, because
 * threads cannot be addressed otherwise. Its atomics are off, since they freeze the timers of an idle thread.
 */
class ThreadLife {
  answered = true;
  /** Pools that have not answered yet. */
  readonly loading = new Set<Tenant>();
  cancelPing: () => void = () => undefined;
  readonly #port: MessagePort;
  readonly #piscina: Piscina;
  #ended: Promise<void> | undefined;

  constructor(onDeath: (life: ThreadLife, reason: string) => void) {
    const { port1, port2 } = new MessageChannel();
    // With minThreads above 0 piscina starts another thread when this one ends, and aborts the whole process if that one ends
    // while it is still loading.
    const resourceLimits = { maxYoungGenerationSizeMb: youngGenerationMb };
    this.#port = port1;
    this.#piscina = new Piscina({
      filename: threadEntry('../../pools/deliver.worker', import.meta.url).href,
      minThreads: 0,
      maxThreads: 1,
      atomics: 'disabled',
      resourceLimits,
    });
    this.#piscina.run({ port: port2 }, { transferList: [port2] }).then(
      () => onDeath(this, 'its task ended'),
      (thrown) => onDeath(this, loggable(toError(thrown), 'message')),
    );
  }

  /** Serves a pool in the thread, over the port that is returned. */
  open(settings: PoolThreadSettings): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const message: ToThread = { port: port2, settings };
    this.#port.postMessage(message, [port2]);
    return port1;
  }

  end(): Promise<void> {
    this.cancelPing();
    this.#port.close();
    this.#ended ??= this.#piscina.destroy();
    return this.#ended;
  }
}
