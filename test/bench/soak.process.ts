/**
 * Runs only the soak, after a build: `node --import tsx test/bench/soak.process.ts --minutes 30 [--load plain]`. Default: half a minute
 * of mixed faults.
 */
import { parseArgs } from 'node:util';
import { mixedFaults, plainLoad, type Sample, soak } from './soak.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '0.5' }, load: { type: 'string', default: 'faults' } } });
const load = { faults: mixedFaults, plain: plainLoad }[values.load];
if (load === undefined) throw new Error(`the load is "faults" or "plain", not "${values.load}"`);

line('second', 'RSS MB', 'fds', 'backlog', 'requests/s');
line(...Array.from({ length: 5 }, () => '-'.repeat(10)));
const result = await soak(load, { seconds: Number(values.minutes) * 60, onSample: print });
line('a minute', result.rssSlopeMB, result.descriptorSlope, result.backlogSlope, '');
process.stdout.write(`\n${result.owed} owed: ${result.accepted} accepted, ${result.dead} dead letters\n`);

function print({ second, rssMB, descriptors, backlog, requestsPerSecond }: Sample): void {
  line(second, rssMB, descriptors, backlog, requestsPerSecond);
}

function line(...cells: readonly (number | string)[]): void {
  const texts = cells.map((cell) => String(typeof cell === 'number' ? Math.round(cell * 10) / 10 : cell).padStart(10));
  process.stdout.write(`| ${texts.join(' | ')} |\n`);
}
