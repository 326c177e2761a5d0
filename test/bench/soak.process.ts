/** Runs only the soak test: `node --import tsx test/bench/soak.process.ts --minutes 10`, after a build. Default: half a minute. */
import { parseArgs } from 'node:util';
import { soak } from './soak.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '0.5' } } });
const line = (...cells: readonly (number | string)[]) =>
  process.stdout.write(
    `| ${cells.map((cell) => String(typeof cell === 'number' ? Math.round(cell * 10) / 10 : cell).padStart(10)).join(' | ')} |\n`,
  );

line('second', 'RSS MiB', 'fds', 'backlog', 'requests/s');
line(...Array.from({ length: 5 }, () => '-'.repeat(10)));
const result = await soak({
  seconds: Number(values.minutes) * 60,
  onSample: ({ second, rssMiB, descriptors, backlog, requestsPerSecond }) => line(second, rssMiB, descriptors, backlog, requestsPerSecond),
});
line('a minute', result.rssSlopeMiB, result.descriptorSlope, result.backlogSlope, '');
process.stdout.write(`\n${result.owed} owed: ${result.accepted} accepted, ${result.dead} dead letters\n`);
