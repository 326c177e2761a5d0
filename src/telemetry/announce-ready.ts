import type { EventBus } from './events.ts';
import type { Health } from './health.ts';

/** Emits `ready` once, as soon as every check of `health` holds. `admin` is the address to say with it. */
export function announceReady(events: EventBus, health: Health, admin: string): void {
  const offs = [events.on('attachment.state', look), events.on('pool.thread', look), events.on('spool.writable', look)];

  function look(): void {
    if (!health.checks().every((check) => check.ready)) return;
    for (const off of offs) off();
    events.emit('ready', { admin });
  }
}
