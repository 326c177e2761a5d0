/**
 * `npm run bench`: what the service costs, each figure with its reference from the same run. All traffic stays on loopback, and the run
 * ends by itself. `npm run bench -- PART …` measures only these parts.
 */
import { cpus } from 'node:os';
import { allocationRows, allocationTable, measureAllocations } from './allocation.ts';
import { backlogRows, measureBacklog } from './backlog.ts';
import { compareThroughput, measureThroughput, threadTable, throughputRows } from './end-to-end.ts';
import { gateRows, measureGate } from './gate.ts';
import { historyRows, measureHistory } from './history.ts';
import { isolationRows, measureIsolation } from './isolation.ts';
import { laneRows, measureLane, measureRoom } from './lane.ts';
import { causeTable, latencyRows, measureLatencies } from './latency.ts';
import { manyHandlersRows, measureManyHandlers } from './many-handlers.ts';
import { manyPoolsRows, measureManyPools } from './many-pools.ts';
import { measureMembers, membersRows } from './members.ts';
import { mixedFaults, soak, soakRows } from './soak.ts';
import { type Row, rowsTable } from './table.ts';
import { measureTap, tapRows } from './tap.ts';
import { measureViewers, viewersRows } from './viewers.ts';

/** The result of a part of the benchmark. */
interface Result {
  readonly rows: readonly Row[];
  /** Text after the table. */
  readonly details?: string;
}

const dashboards = { viewers: 3, perSecond: 5000, seconds: 5, rounds: 5 };

const parts: Readonly<Record<string, () => Promise<Result>>> = {
  throughput: async () => {
    const compared = await compareThroughput({ rounds: 5, events: 60_000 });
    return { rows: throughputRows(compared), details: `CPU per event by thread:\n\n${threadTable(compared)}` };
  },
  allocation: async () => {
    const allocations = await measureAllocations(30_000);
    return { rows: allocationRows(allocations), details: `Allocation by thread:\n\n${allocationTable(allocations)}` };
  },
  history: async () => ({ rows: historyRows(await measureHistory({ rounds: 5, events: 60_000 })) }),
  viewers: async () => ({ rows: viewersRows(await measureViewers(dashboards), dashboards) }),
  latency: async () => {
    const latencies = await measureLatencies({ perSecond: 1000, seconds: 10, rounds: 3 });
    return { rows: latencyRows(latencies), details: `What delayed the slowest 1 %:\n\n${causeTable(latencies)}` };
  },
  isolation: async () => ({ rows: isolationRows(await measureIsolation({ rounds: 3, events: 40_000 })) }),
  backlog: async () => {
    const before = await measureThroughput(60_000);
    const backlog = await measureBacklog(1_000_000);
    const after = await measureThroughput(60_000);
    return { rows: backlogRows(backlog, (before.eventsPerSecond + after.eventsPerSecond) / 2) };
  },
  lane: async () => ({
    rows: laneRows(await measureLane({ rounds: 3, events: 8000 }), await measureRoom({ occupants: 1000, messages: 7 })),
  }),
  handlers: async () => ({ rows: manyHandlersRows(await measureManyHandlers({ handlers: 1000, rounds: 3, events: 20_000 })) }),
  pools: async () => ({ rows: manyPoolsRows(await measureManyPools({ pools: 44, events: 20_000 })) }),
  soak: async () => ({ rows: soakRows(await soak(mixedFaults, { seconds: 30 })) }),
  tap: async () => ({ rows: tapRows(await measureTap({ rounds: 3, seconds: 4 })) }),
  members: async () => ({ rows: membersRows(await measureMembers({ members: 1000, present: 10, messages: 30 })) }),
  gate: async () => ({ rows: gateRows(await measureGate({ seconds: 4 })) }),
};

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts);
const unknown = wanted.filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
  process.stderr.write(`unknown part ${unknown.join(', ')}; the parts are ${Object.keys(parts).join(', ')}\n`);
  process.exit(2);
}

const began = performance.now();
const results: Result[] = [];
for (const name of wanted) {
  process.stderr.write(`${Math.round((performance.now() - began) / 1000)} s: ${name}\n`);
  try {
    const result = await parts[name]?.();
    if (result !== undefined) results.push(result);
  } catch (error) {
    process.stderr.write(`${name} failed: ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1; // the other parts are measured all the same
  }
}
process.stdout.write(
  `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}\n\n`,
);
process.stdout.write(rowsTable(results.flatMap(({ rows }) => rows)));
for (const { details } of results) if (details !== undefined) process.stdout.write(`\n${details}`);
process.stderr.write(`${Math.round((performance.now() - began) / 1000)} s in all\n`);
